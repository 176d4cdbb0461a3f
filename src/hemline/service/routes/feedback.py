"""Feedback on hits, and its export as training triplets."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from hemline.service.access import READ, WRITE, Served
from hemline.service.answers import answer, to_json
from hemline.service.bodies import JSON, checked, media_of, read_json, unsupported
from hemline.service.models import FeedbackModel, body
from hemline.service.problems import Problem, bad, responses
from hemline.service.serving import Service

router = APIRouter(prefix="/v1/feedback", tags=["feedback"])


class Feedback(BaseModel):
    """Whether a hit of a search is right; null deletes earlier feedback."""

    model_config = ConfigDict(extra="forbid")

    search_id: str = Field(max_length=64)
    item_id: str = Field(max_length=200)
    right: bool | None


@router.post(
    "",
    dependencies=READ,
    responses={200: {"model": FeedbackModel}, **responses(404, 415)},
    openapi_extra=body(json_schema=Feedback.model_json_schema()),
)
async def judge(request: Request, service: Served) -> Response:
    """Stores that a hit was right or wrong; the last feedback on a hit counts."""
    if media_of(request) != JSON:
        raise unsupported(JSON)
    feedback = checked(Feedback, await read_json(request))
    await service.work(lambda: _judge(service, feedback))
    return answer({"kept": feedback.right is not None})


def _judge(service: Service, feedback: Feedback) -> None:
    hits = service.journal.hits_of(feedback.search_id)
    if hits is None:
        raise Problem(404, "no-search", "there is no such search")
    if feedback.item_id not in hits:
        raise bad("this search has no such hit", "no-hit")
    service.journal.judge(feedback.search_id, feedback.item_id, feedback.right)
    if feedback.right is None:
        return
    service.metrics.feedback.labels(str(feedback.right).lower()).inc()


@router.get(
    "/export",
    dependencies=WRITE,
    response_class=Response,
    responses={
        200: {"content": {"application/jsonl": {}}, "description": "Triplets, one per line."},
        **responses(),
    },
)
async def export(service: Served) -> Response:
    """Training triplets as JSON lines: anchor (with its photo where photos are kept), positive
    and negative."""

    triplets = await service.work(service.journal.triplets)

    def lines() -> Iterator[bytes]:
        for triplet in triplets:
            yield to_json(triplet) + b"\n"

    return StreamingResponse(lines(), media_type="application/jsonl")
