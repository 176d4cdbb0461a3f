"""Health checks, metrics, and information about the service."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from hemline import __version__
from hemline.budget import limits
from hemline.limits import MAX_HITS
from hemline.service.access import READ, WATCH, Served
from hemline.service.answers import answer
from hemline.service.metrics import CONTENT_TYPE_LATEST
from hemline.service.models import HealthModel, InfoModel
from hemline.service.problems import Problem, responses
from hemline.service.routes.pictures import samples
from hemline.service.serving import Service

router = APIRouter(tags=["health"])


@router.get("/healthz", responses={200: {"model": HealthModel}, **responses()})
async def healthz() -> Response:
    """The process is alive."""
    return answer({"status": "alive"})


@router.get("/readyz", responses={200: {"model": HealthModel}, **responses()})
async def readyz(service: Served) -> Response:
    """The process answers requests; 503 while it starts or shuts down."""
    if not service.ready:
        raise Problem(
            503, "not-ready", "the server is starting or shutting down", {"Retry-After": "1"}
        )
    return answer({"status": "ready"})


@router.get(
    "/metrics",
    dependencies=WATCH,
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Metrics."}, **responses()},
)
async def metrics(service: Served) -> Response:
    """Metrics in Prometheus's format, with a histogram of each step."""
    await asyncio.to_thread(service.count)
    return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/v1/info", dependencies=READ, responses={200: {"model": InfoModel}, **responses()})
async def info(service: Served) -> Response:
    """The bundle, the catalogue, the limits, and sample photos."""
    return answer(await service.work(lambda: _info(service)))


def _info(service: Service) -> dict[str, Any]:
    live = service.catalog.live()
    bundle, settings = live.bundle.info, service.settings
    counts = live.store.item_page(1).counts  # from memory: every page load requests this
    return {
        "version": __version__,
        "bundle": {
            "name": bundle.name,
            "summary": bundle.summary,
            "fingerprint": bundle.fingerprint,
            "embedding_dim": bundle.embedding_dim,
            "reranks": bundle.reranks,
            "uses_tags": bundle.uses_tags,
            "grid": bundle.grid,
            "alike": None if bundle.alike is None else bundle.alike.model_dump(),
            "quality": bundle.quality,
        },
        "catalog": {
            "items": counts.items,
            "pictures": counts.images,
            "columns": ["category", "tags", *live.store.columns()],
            "tags": live.store.tag_names(),
            "revision": live.store.revision,
        },
        "detector": bundle.detector is not None,
        "keeps_photos": settings.keep_photos,
        "limits": {
            "max_body": settings.max_body,
            "max_pixels": settings.max_pixels,
            "max_k": MAX_HITS,
            "timeout": settings.timeout,
            **asdict(limits()),
        },
        "samples": [
            {"photo": f"{settings.path}/v1/samples/{number}", "name": path.stem}
            for number, path in enumerate(samples(settings.samples))
        ],
        "page": {
            "judging": settings.judging is not False,
            "photo_links": bool(settings.photo_links),
        },
    }
