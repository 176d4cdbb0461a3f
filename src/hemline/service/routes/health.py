"""Whether it lives, whether it can answer, what it counts, and what serves."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from hemline import __version__
from hemline.service.access import READ, Served
from hemline.service.answers import answer
from hemline.service.metrics import CONTENT_TYPE_LATEST
from hemline.service.models import HealthModel, InfoModel
from hemline.service.problems import Problem, responses
from hemline.service.routes.pictures import samples
from hemline.service.serving import Service

router = APIRouter(tags=["health"])


@router.get("/healthz", responses={200: {"model": HealthModel}, **responses()})
async def healthz() -> Response:
    """The process lives."""
    return answer({"status": "alive"})


@router.get("/readyz", responses={200: {"model": HealthModel}, **responses()})
async def readyz(service: Served) -> Response:
    """It is warm and takes requests; 503 while it starts or ends."""
    if not service.ready:
        raise Problem(503, "not-ready", "the server is starting or ending", {"Retry-After": "1"})
    return answer({"status": "ready"})


@router.get(
    "/metrics",
    dependencies=READ,
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Metrics."}, **responses()},
)
async def metrics(service: Served) -> Response:
    """Prometheus's metrics, with a histogram for each step."""
    await asyncio.to_thread(service.count)
    return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/v1/info", dependencies=READ, responses={200: {"model": InfoModel}, **responses()})
async def info(service: Served) -> Response:
    """The bundle, the catalogue, the limits, and photos to start with."""
    return answer(await service.work(lambda: _info(service)))


def _info(service: Service) -> dict[str, Any]:
    live = service.catalog.live()
    own, settings = live.bundle.info, service.settings
    counts = live.store.item_page(1).counts  # out of memory: each page that opens asks this
    return {
        "version": __version__,
        "bundle": {
            "name": own.name,
            "summary": own.summary,
            "fingerprint": own.fingerprint,
            "embedding_dim": own.embedding_dim,
            "reranks": own.reranks,
            "uses_tags": own.uses_tags,
            "grid": own.grid,
            "alike": None if own.alike is None else own.alike.model_dump(),
            "quality": own.quality,
        },
        "catalog": {
            "items": counts.items,
            "pictures": counts.pictures,
            "columns": ["category", "tags", *live.store.columns()],
            "tags": live.store.tag_names(),
            "revision": live.store.revision,
        },
        "detector": own.detector is not None,
        "limits": {
            "max_body": settings.max_body,
            "max_pixels": settings.max_pixels,
            "max_k": 200,
            "timeout": settings.timeout,
        },
        "samples": [
            {"photo": f"/v1/samples/{number}", "name": path.stem}
            for number, path in enumerate(samples(settings.samples))
        ],
    }
