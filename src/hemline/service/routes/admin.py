"""Administration: statistics, uploads of feeds, the built-in check, and their jobs."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from starlette.formparsers import MultiPartException
from starlette.responses import Response

from hemline.service.access import WRITE, Served
from hemline.service.answers import answer
from hemline.service.bodies import MULTIPART, media_of, unsupported
from hemline.service.checking import check
from hemline.service.jobs import Job
from hemline.service.models import FILE, JobModel, JobsModel, StatsModel, body
from hemline.service.problems import Problem, bad, responses
from hemline.service.serving import Service
from hemline.service.sizes import Sizes
from hemline.service.uploads import Part, Upload, add_upload

router = APIRouter(prefix="/v1/admin", tags=["admin"], dependencies=WRITE)
_RECENT = 500
_SHOWN = 50
_STARTED = time.time()
_FORM = {
    "type": "object",
    "required": ["manifest"],
    "properties": {
        "manifest": FILE | {"description": "CSV, JSON lines or Parquet; or a zip with all of it"},
        "picture": {"type": "array", "items": FILE, "description": "pictures, or zips of them"},
    },
}


@router.get("/stats", responses={200: {"model": StatsModel}, **responses()})
async def stats(request: Request, service: Served) -> Response:
    """Size and health of the catalogue, the last searches' timings, feedback, jobs."""
    sizes: Sizes = request.app.state.sizes
    return answer(await service.work(lambda: _stats(service, sizes)))


def _stats(service: Service, sizes: Sizes) -> dict[str, Any]:
    recent = service.journal.recent(_RECENT)
    steps: dict[str, list[float]] = {}
    for search in recent:
        for step, milliseconds in search["timings_ms"].items():
            steps.setdefault(step, []).append(milliseconds)
    return {
        "catalog": sizes.stats(),
        "searches": {
            "counted": len(recent),
            "timings_ms": {
                step: {
                    "p50": round(float(np.quantile(values, 0.5)), 2),
                    "p95": round(float(np.quantile(values, 0.95)), 2),
                }
                for step, values in steps.items()
            },
        },
        "recent": recent[:_SHOWN],
        "feedback": service.journal.judged(),
        "journal": {"problem": service.journal.problem or None},
        "jobs": [job.shown() for job in service.jobs.list()],
        "service": {
            "up_seconds": round(time.time() - _STARTED, 1),
            "waiting": service.engine.waiting,
            "workers": service.settings.workers,
            "keys": sum(key.revoked is None for key in service.keys.list()),
            "keeps_photos": bool(service.settings.keep_photos),
        },
    }


@router.post(
    "/manifest",
    status_code=202,
    responses={202: {"model": JobModel}, **responses(415)},
    openapi_extra=body(form=_FORM),
)
async def manifest(request: Request, service: Served) -> Response:
    """Adds the products of a feed with its pictures: a job, whose address is in `Location`.

    Its columns are read as `hemline catalog sync` reads them. No product is removed.
    """
    if media_of(request) != MULTIPART:
        raise unsupported(MULTIPART)
    upload = Upload(service.settings.state, service.settings.max_upload)
    try:
        parts = await upload.read(request)
        if "manifest" not in parts:
            raise bad("send the feed: a file named 'manifest'", "no-manifest")
        await service.work(
            lambda: _take(upload, [part for some in parts.values() for part in some])
        )
        job = service.jobs.begin(
            "manifest", lambda job: add_upload(upload, service.writer, service.jobs, job)
        )
    except BaseException as error:
        upload.close()
        if isinstance(error, MultiPartException):
            raise bad("the form can't be read", "bad-form", 400) from None
        raise
    return answer(job.shown(), 202, _location(service, job))


def _location(service: Service, job: Job) -> dict[str, str]:
    return {"Location": f"{service.settings.path}/v1/admin/jobs/{job.id}"}


def _take(upload: Upload, parts: list[Part]) -> None:
    """
    Raises:
        Problem: a file that can't be part of an upload.
    """
    from hemline.errors import DataError

    try:
        for part in parts:
            upload.take(part)
        upload.feed()
    except DataError as error:
        raise bad(str(error).replace(f"{upload.folder}/", ""), "bad-upload") from None


@router.post("/check", status_code=202, responses={202: {"model": JobModel}, **responses()})
async def begin_check(service: Served) -> Response:
    """Starts the built-in check: is the catalogue intact, and does it find its own products?"""
    job = service.jobs.begin("check", lambda job: check(service, job))
    return answer(job.shown(), 202, _location(service, job))


@router.get("/jobs", responses={200: {"model": JobsModel}, **responses()})
async def jobs(service: Served) -> Response:
    """The last jobs, the latest first."""
    return answer({"jobs": [job.shown() for job in service.jobs.list()]})


@router.get("/jobs/{job_id}", responses={200: {"model": JobModel}, **responses(404)})
async def job(job_id: str, service: Served) -> Response:
    """How far a job is, and what it gave."""
    found = service.jobs.get(job_id)
    if found is None:
        raise Problem(404, "no-job", "there is no such job")
    return answer(found.shown())
