"""Which hit was right or wrong: kept, and given out as training triplets."""

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


class Judgement(BaseModel):
    """Whether a hit of a search is the product that was looked for; null takes the word back."""

    model_config = ConfigDict(extra="forbid")

    search_id: str = Field(max_length=64)
    item_id: str = Field(max_length=200)
    right: bool | None


@router.post(
    "",
    dependencies=READ,
    responses={200: {"model": FeedbackModel}, **responses(404, 415)},
    openapi_extra=body(json_schema=Judgement.model_json_schema()),
)
async def judge(request: Request, service: Served) -> Response:
    """Keeps that a hit was right or wrong; the last word on a hit counts."""
    if media_of(request) != JSON:
        raise unsupported(JSON)
    said = checked(Judgement, await read_json(request))
    await service.work(lambda: _judge(service, said))
    return answer({"kept": said.right is not None})


def _judge(service: Service, said: Judgement) -> None:
    hits = service.journal.hits_of(said.search_id)
    if hits is None:
        raise Problem(404, "no-search", "no such search is remembered")
    if said.item_id not in hits:
        raise bad("that search didn't find this product", "no-hit")
    service.journal.judge(said.search_id, said.item_id, said.right)
    if said.right is None:
        return
    service.metrics.feedback.labels(str(said.right).lower()).inc()


@router.get(
    "/export",
    dependencies=WRITE,
    response_class=Response,
    responses={
        200: {"content": {"application/jsonl": {}}, "description": "Triplets, one to a line."},
        **responses(),
    },
)
async def export(service: Served) -> Response:
    """Training triplets as JSON lines: anchor (with its photo where photos are kept), positive,
    negative."""

    def lines() -> Iterator[bytes]:
        for triplet in service.journal.triplets():
            yield to_json(triplet) + b"\n"

    return StreamingResponse(lines(), media_type="application/jsonl")
