"""Lists, stores, changes and removes items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from hemline.budget import check_limit
from hemline.catalog.intake.update import (
    AttributeChanges,
    Attributes,
    ImageUpdate,
    ItemOutcome,
    ItemUpdate,
)
from hemline.catalog.where.explain import explain
from hemline.catalog.where.expression import Where as Condition
from hemline.limits import MAX_COLUMNS
from hemline.service.access import LIST, WRITE, Served
from hemline.service.answers import answer, items_of
from hemline.service.bodies import (
    JSON,
    MULTIPART,
    checked,
    media_of,
    parse_json,
    read_form,
    read_json,
    unpacked,
    unsupported,
)
from hemline.service.models import BASE64, FILE, ItemsModel, WrittenModel, body
from hemline.service.problems import bad, responses, unknown_item
from hemline.service.routes.search import Where
from hemline.service.serving import Service

router = APIRouter(prefix="/v1", tags=["items"])
ItemId = Annotated[str, InPath(max_length=200)]
MAX_PICTURES = 50


class ItemBody(BaseModel):
    """A product without its pictures."""

    model_config = ConfigDict(extra="forbid")

    columns: dict[str, Any] = Field(default_factory=dict, max_length=MAX_COLUMNS)
    category: str = Field(default="", max_length=200)
    tags: list[str] = Field(default_factory=list, max_length=500)


class ItemJson(ItemBody):
    """A product; ``pictures`` in base64 replace the stored ones, null keeps them."""

    pictures: list[str] | None = Field(default=None, max_length=MAX_PICTURES)


class ItemChange(BaseModel):
    """Changes of a product: a column that is null is removed."""

    model_config = ConfigDict(extra="forbid")

    columns: dict[str, Any] = Field(default_factory=dict, max_length=MAX_COLUMNS)
    category: str | None = Field(default=None, max_length=200)
    tags: list[str] | None = Field(default=None, max_length=500)


_JSON = ItemJson.model_json_schema()
_JSON["properties"]["pictures"] = {"anyOf": [{"type": "array", "items": BASE64}, {"type": "null"}]}
_FORM = {
    "type": "object",
    "properties": {
        "item": {"type": "string", "contentMediaType": "application/json"},
        "picture": {"type": "array", "items": FILE, "maxItems": MAX_PICTURES},
    },
}


@router.get("/items", dependencies=LIST, responses={200: {"model": ItemsModel}, **responses()})
async def listed(
    service: Served,
    limit: Annotated[int, Query(ge=1, le=200, description="Products of one page.")] = 50,
    after: Annotated[
        str, Query(max_length=200, description="The last item_id of the page before.")
    ] = "",
    where: Where = None,
) -> Response:
    """The catalogue's products with a picture that meets a condition, in the order of their ids.

    ``after`` of an answer leads to the next page, and is null on the last. As it is an id, products
    that come or go meanwhile let none be shown twice or left out.
    """

    check_limit("k", limit)

    def ask() -> dict[str, Any]:
        store = service.catalog.live().store
        revision = store.revision
        met = Condition.parse(where, store.columns()) if where and where.strip() else None
        page = store.item_page(limit, after, met)
        return {
            "items": items_of(
                page.item_ids,
                store.items(page.item_ids, vectors=False),
                service.settings.pictures,
            ),
            "counts": page.counts.to_json(),
            "after": page.item_ids[-1] if page.more else None,
            "revision": revision,
            "note": "" if met is None or page.counts.items else explain(store, met),
        }

    return answer(await service.work(ask))


def item_update(item_id: str, given: ItemBody, images: Sequence[bytes] | None) -> ItemUpdate:
    """The update of an item that is stored as it is given; None keeps its images."""
    return ItemUpdate(
        item_id,
        Attributes(given.category, tuple(given.tags), given.columns),
        None if images is None else [ImageUpdate(data) for data in images],
    )


def unpacked_images(given: ItemJson) -> list[bytes] | None:
    """
    Raises:
        Problem: an image that isn't base64.
    """
    return None if given.pictures is None else [unpacked(text) for text in given.pictures]


async def _write(service: Service, update: ItemUpdate) -> ItemOutcome:
    """
    Raises:
        Problem: the item was refused, or isn't in the catalogue.
    """
    (outcome,) = await service.writer.update([update])
    if not outcome.found:
        raise unknown_item()
    if outcome.status == "refused":
        raise bad(outcome.reason, "refused")
    return outcome


def _written(outcome: ItemOutcome) -> Response:
    written = {
        "item_id": outcome.item_id,
        "status": outcome.status,
        "pictures": outcome.images,
    }
    return answer(written, 201 if outcome.status == "added" else 200)


@router.put(
    "/items/{item_id:path}",
    dependencies=WRITE,
    responses={200: {"model": WrittenModel}, 201: {"model": WrittenModel}, **responses(415)},
    openapi_extra=body(form=_FORM, json_schema=_JSON),
)
async def put(item_id: ItemId, request: Request, service: Served) -> Response:
    """Stores a product as it is given; 201 where it is new. It is durable when this answers."""
    media = media_of(request)
    given: ItemBody
    images: list[bytes] | None
    if media == JSON:
        given = whole = checked(ItemJson, await read_json(request))
        images = unpacked_images(whole)
    elif media == MULTIPART:
        form = await read_form(request, MAX_PICTURES, service.settings.max_body)
        data = form.fields.get("item", "").encode() or (form.files.get("item") or [b""])[0]
        given = checked(ItemBody, parse_json(data) if data else {})
        images = form.files.get("picture")
    else:
        raise unsupported(MULTIPART, JSON)
    return _written(await _write(service, item_update(item_id, given, images)))


@router.patch(
    "/items/{item_id:path}",
    dependencies=WRITE,
    responses={200: {"model": WrittenModel}, **responses(404, 415)},
    openapi_extra=body(json_schema=ItemChange.model_json_schema()),
)
async def patch(item_id: ItemId, request: Request, service: Served) -> Response:
    """Changes columns, category or tags of a product; its pictures stay.

    Columns that aren't named keep their values, in each picture its own.
    """
    if media_of(request) not in (JSON, "application/merge-patch+json"):
        raise unsupported(JSON)
    change = checked(ItemChange, await read_json(request))
    tags = None if change.tags is None else tuple(change.tags)
    changes = AttributeChanges(change.category, tags, change.columns)
    return _written(await _write(service, ItemUpdate(item_id, changes)))


@router.delete(
    "/items/{item_id:path}",
    dependencies=WRITE,
    responses={200: {"model": WrittenModel}, **responses(404)},
)
async def delete(item_id: ItemId, service: Served) -> Response:
    """Removes a product with its pictures."""
    return _written(await _write(service, ItemUpdate(item_id, remove=True)))
