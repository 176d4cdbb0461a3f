"""Many products in one request: JSON lines in, a JSON line for each out.

The lines are read, stored and answered in batches; each answer is of a durable commit. Many clients
read nothing until they have sent everything. Answers beyond what the connection buffers are
therefore held back until the body has ended, so that neither side waits for the other for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hemline.catalog.intake.feed_row import read_row
from hemline.catalog.intake.update import ItemUpdate
from hemline.errors import DataError, HemlineError, UsageError
from hemline.service.access import WRITE, Served
from hemline.service.answers import to_json
from hemline.service.bodies import checked, media_of, parse_json, unsupported
from hemline.service.logs import log
from hemline.service.problems import Problem, bad, of_error, responses
from hemline.service.routes.items import ItemJson, item_update, unpacked_images
from hemline.service.serving import Service
from hemline.work import present

router = APIRouter(prefix="/v1", tags=["items"])
KINDS = ("application/jsonl", "application/x-ndjson", "application/json-lines")
_LINES, _BYTES = 32, 8 << 20  # of one commit
_HEADERS = [(b"content-type", b"application/jsonl")]
_COPIES = 3  # of a line, as text, as JSON and as images
_AHEAD = 32 << 10  # bytes of answers that are sent before the body has ended


class BulkLine(ItemJson):
    """One line: a product, or with ``delete`` its id alone.

    A line with other names is read as a row of a feed (`read_row`).
    """

    item_id: str = Field(min_length=1, max_length=200)
    delete: bool = False


@router.post(
    "/items:bulk",
    dependencies=WRITE,
    response_class=Response,
    responses={
        200: {
            "content": {"application/jsonl": {}},
            "description": "For each line: `line`, `item_id`, `status`, and `problem` if refused.",
        },
        **responses(415),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/jsonl": {"schema": {"type": "string"}}},
        }
    },
)
async def bulk(request: Request, service: Served) -> Response:
    """Stores many products; a line that is refused doesn't stop the others."""
    if media_of(request) not in KINDS:
        raise unsupported(KINDS[0])
    return Lines(_answers(request, service))


class Lines(Response):
    """Streams lines while the request's body is still being read.

    Starlette's own streaming response waits for the client to disconnect and would consume the
    body's chunks.
    """

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__()
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        async for lines in self._lines:
            await send({"type": "http.response.body", "body": lines, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _answers(request: Request, service: Service) -> AsyncIterator[bytes]:
    waiting: list[tuple[int, bytes]] = []
    held, sent, number, size = b"", 0, 0, 0
    rest = bytearray()
    try:
        async for number, line in _lines(request, rest, service.settings.max_body):
            waiting.append((number, line))
            size += len(line)
            if len(waiting) >= _LINES or size >= _BYTES:
                held += await _store(service, waiting)
                waiting, size = [], 0
                present().let_go()
                present().hold(_COPIES * len(rest))
                if sent + len(held) <= _AHEAD:
                    yield held
                    sent, held = sent + len(held), b""
        held += await _store(service, waiting)
    except (Problem, HemlineError) as error:  # the last line says what broke the answer off
        problem = error if isinstance(error, Problem) else of_error(error)
        held += await _store(service, waiting)
        own = request.scope["state"]["request_id"]
        held += _line(number + 1, None, problem.body(own))
    yield held


async def _lines(request: Request, rest: bytearray, limit: int) -> AsyncIterator[tuple[int, bytes]]:
    """The lines that aren't empty, with their numbers; memory is held for each piece.

    Args:
        rest: what has been received and belongs to no line yet.

    Raises:
        Problem: one is too long, or the body breaks off.
        MemoryLimitError, BusyError: as `Work.hold`.
    """
    number = 0
    async for chunk in request.stream():
        present().hold(_COPIES * len(chunk))
        rest += chunk
        while (end := rest.find(b"\n")) >= 0:
            line = bytes(rest[:end]).strip()
            del rest[: end + 1]
            number += 1
            if line:
                yield number, line
        if len(rest) > limit:
            raise Problem(413, "too-long", f"a line has at most {limit:,} bytes")
    if rest.strip():
        yield number + 1, bytes(rest).strip()


async def _store(service: Service, lines: Sequence[tuple[int, bytes]]) -> bytes:
    """Stores some lines; their answers."""
    updates: dict[int, ItemUpdate] = {}
    answers: dict[int, bytes] = {}
    for number, line in lines:
        try:
            updates[number] = _update(line)
        except Problem as problem:
            answers[number] = _refused(number, None, problem)
    try:
        outcomes = await service.writer.update(list(updates.values())) if updates else []
    except (Problem, HemlineError) as error:
        why = error if isinstance(error, Problem) else of_error(error)
        log("bulk failed", reason=str(error))
        answers |= {n: _refused(n, update.item_id, why) for n, update in updates.items()}
    else:
        for number, outcome in zip(updates, outcomes, strict=True):
            if outcome.status == "refused":
                why = bad(outcome.reason, "refused")
                answers[number] = _refused(number, outcome.item_id, why)
            else:
                answers[number] = _line(number, outcome.item_id, None, outcome.status)
    return b"".join(answers[number] for number in sorted(answers))


def _update(line: bytes) -> ItemUpdate:
    """
    Raises:
        Problem: the line is no update.
    """
    row = parse_json(line)
    if isinstance(row, dict) and not row.keys() <= BulkLine.model_fields.keys():
        try:
            row = read_row(row, BulkLine.model_fields)
        except (UsageError, DataError) as error:
            raise bad(str(error)) from None
    given: BulkLine = checked(BulkLine, row)
    if given.delete:
        return ItemUpdate(given.item_id, remove=True)
    return item_update(given.item_id, given, unpacked_images(given))


def _refused(number: int, item_id: str | None, problem: Problem) -> bytes:
    shown = {"type": f"urn:hemline:problem:{problem.kind}", "status": problem.status}
    return _line(number, item_id, {**shown, "detail": problem.detail})


def _line(
    number: int, item_id: str | None, problem: dict[str, Any] | None, status: str = "refused"
) -> bytes:
    answer: dict[str, Any] = {"line": number, "item_id": item_id, "status": status}
    if problem is not None:
        answer["problem"] = problem
    return to_json(answer) + b"\n"
