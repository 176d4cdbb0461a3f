"""Searches and detections: photos in, products or garments out."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any
from urllib.parse import unquote

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from hemline.catalog.where.explain import explain
from hemline.catalog.where.expression import Where as Condition
from hemline.data.bounded import opened
from hemline.data.images import crop, encode_jpeg
from hemline.files import read_regular
from hemline.limits import DEFAULT_K, MAX_HITS, MAX_PHOTOS, MAX_RANK, MAX_WHERE
from hemline.search.clock import Clock
from hemline.search.result_json import box_json, detections_json, result_json
from hemline.service.access import READ, WRITE, Served
from hemline.service.answers import answer, attention_json, hit_json, item_of, shown_facets
from hemline.service.bodies import DetectJson, SearchForm, SearchJson, one_photo, search_body
from hemline.service.journal import Search
from hemline.service.models import (
    BASE64,
    FILE,
    DetectModel,
    FacetsModel,
    ItemModel,
    SearchModel,
    SimilarModel,
    body,
)
from hemline.service.problems import Problem, responses, unknown_item
from hemline.service.serving import Service
from hemline.types import Image, PageRequest, SearchRequest, SearchResult
from hemline.work import present

router = APIRouter(prefix="/v1", tags=["search"])

Where = Annotated[str | None, Query(max_length=MAX_WHERE, description="A condition over columns.")]
Columns = Annotated[str, Query(max_length=2000, description="Names of columns, with commas.")]
#: Longest side of a photo that is kept, pixels.
_KEPT = 640

_JSON = SearchJson.model_json_schema()
_JSON["properties"]["photo"] = {
    "anyOf": [BASE64, {"type": "array", "items": BASE64, "maxItems": MAX_PHOTOS}]
}
_FORM = {
    "type": "object",
    "required": ["photo"],
    "properties": _JSON["properties"]
    | {
        "photo": {"type": "array", "items": FILE, "minItems": 1, "maxItems": MAX_PHOTOS},
        "box": {"type": "string", "description": "x1,y1,x2,y2 in pixels of the upright photo"},
        "where": {"type": "string", "maxLength": MAX_WHERE},
        "facets": {"type": "string", "description": "names of columns, with commas"},
    },
}


@router.post(
    "/search",
    dependencies=READ,
    responses={200: {"model": SearchModel}, **responses(415)},
    openapi_extra=body(form=_FORM, json_schema=_JSON),
)
async def search(request: Request, service: Served) -> Response:
    """The products most similar to the one in a photo, or in several photos of it."""
    photos, form = await search_body(request, service.settings.max_body)
    return answer(await service.work(lambda: _search(service, photos, form)))


def _search(service: Service, photos: list[bytes], form: SearchForm) -> dict[str, Any]:
    result = service.engine.answer(form.request(photos))
    query = form.model_dump(include={"k", "offset", "where", "detect", "every"})
    query |= {"photos": len(photos), "box": box_json(result.box)}
    kept = None
    if service.settings.keep_photos and form.keep is not False:
        with opened(photos[0], service.settings.max_pixels) as image:
            kept = encode_jpeg(crop(image, result.box), 85, _KEPT)  # without any EXIF
    return searched(service, result, query, form.why, kept)


def searched(
    service: Service,
    result: SearchResult,
    query: Mapping[str, Any],
    why: bool,
    kept: bytes | None = None,
) -> dict[str, Any]:
    """The answer to a photo's search as JSON, written into the journal.

    Args:
        query: what was asked for.
        why: whether hits have their attention.
        kept: the photo, where it is kept.
    """
    search_id = _note(service, query, result, kept)
    pictures = service.settings.pictures
    shown = result_json(result, partial(hit_json, pictures=pictures, attention=why))
    facets = shown_facets(shown["facets"])
    return {**shown, "facets": facets, "size": result.size, "search_id": search_id}


def _note(
    service: Service, query: Mapping[str, Any], result: SearchResult, photo: bytes | None = None
) -> str:
    """Counts a search and writes it into the journal; the id that feedback names it by."""
    service.metrics.timed(result.timings_ms)
    search_id = secrets.token_hex(12)
    hits = tuple((hit.item_id, hit.image_id, hit.score) for hit in result.hits)
    service.journal.note(Search(search_id, query, hits, result.timings_ms, photo))
    return search_id


@router.post(
    "/detect",
    dependencies=READ,
    responses={200: {"model": DetectModel}, **responses(415)},
    openapi_extra=body(
        form={"type": "object", "required": ["photo"], "properties": {"photo": FILE}},
        json_schema=DetectJson.model_json_schema() | {"properties": {"photo": BASE64}},
    ),
)
async def detect(request: Request, service: Served) -> Response:
    """The garments of a photo."""
    photo = await one_photo(request, service.settings.max_body)
    return answer(await service.work(lambda: _detect(service, photo)))


def _detect(service: Service, photo: bytes) -> dict[str, Any]:
    clock, detector = Clock(), service.engine.detector()
    with ExitStack() as stack:
        with clock.step("decode"):
            most = service.settings.max_pixels
            image = stack.enter_context(opened(photo, most, name="the photo"))
        with clock.step("detect"):
            shown = detector.sure(image)
    timings = clock.timings()
    service.metrics.timed(timings)
    return {
        "size": [image.shape[1], image.shape[0]],
        "detections": detections_json(shown),
        "timings_ms": timings,
    }


class SimilarRoute(APIRoute):
    """A route whose last ``/`` is a slash of the address: ``x%2Fsimilar`` is an item's id."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        raw = scope.get("raw_path") or scope["path"].encode()
        if unquote(raw.rpartition(b"/")[2].decode("latin-1")) != "similar":
            return Match.NONE, {}
        return super().matches(scope)


_similar = APIRouter(route_class=SimilarRoute)


@_similar.get(
    "/items/{item_id:path}/similar",
    dependencies=READ,
    responses={200: {"model": SimilarModel}, **responses(404)},
)
async def similar(
    item_id: str,
    service: Served,
    k: Annotated[int, Query(ge=1, le=MAX_HITS)] = DEFAULT_K,
    offset: Annotated[int, Query(ge=0, lt=MAX_RANK)] = 0,
    where: Where = None,
    facets: Columns = "",
) -> Response:
    """The products most similar to a product of the catalogue, which is left out."""

    def ask() -> dict[str, Any]:
        given = {"k": k, "offset": offset, "where": where, "facets": facets, "item_id": item_id}
        result = service.engine.answer(SearchRequest.model_validate(given))
        query = {"k": k, "offset": offset, "where": where, "like": item_id}
        shown = result_json(result, partial(hit_json, pictures=service.settings.pictures))
        del shown["box"], shown["detections"]  # of photos
        found = shown_facets(shown["facets"])
        return {**shown, "facets": found, "search_id": _note(service, query, result)}

    return answer(await service.work(ask))


@_similar.api_route(
    "/items/{item_id:path}/similar",
    methods=["PUT", "PATCH", "DELETE"],
    dependencies=WRITE,
    include_in_schema=False,
)
async def no_write(item_id: str) -> Response:
    """An item whose id ends in ``/similar`` couldn't be read at this address."""
    detail = "this address has similar products; write the slashes of an item_id as %2F"
    raise Problem(405, "method", detail, {"Allow": "GET"})


router.include_router(_similar)


@router.get(
    "/items/{item_id:path}",
    dependencies=READ,
    responses={200: {"model": ItemModel}, **responses(404)},
)
async def item(
    item_id: str,
    service: Served,
    why: Annotated[bool, Query(description="Add the shop tower's attention.")] = False,
) -> Response:
    """A product with its images."""

    def ask() -> dict[str, Any]:
        rows = service.catalog.live().store.items([item_id], vectors=False)
        if not rows:
            raise unknown_item()
        shown = item_of(rows, service.settings.pictures)
        if why:
            for picture, row in zip(shown["pictures"], rows, strict=True):
                path = service.catalog.image_path(row)
                if path is not None and path.is_file():
                    present().check()
                    with opened(read_regular(path), service.settings.max_pixels) as image:
                        picture["attention"] = attention_of(service, image, row.tags)
        return shown

    return answer(await service.work(ask))


def attention_of(service: Service, image: Image, tags: tuple[str, ...]) -> dict[str, Any] | None:
    """The shop tower's attention in an image, or None where the model has none."""
    live = service.catalog.live()
    attention = live.encoder(service.settings.threads).encode_shop([image], [tags]).attention
    grid = live.bundle.info.grid
    if attention is None or grid is None:
        return None
    return attention_json(np.asarray(attention[0], np.float32).reshape(grid))


@router.get("/facets", dependencies=READ, responses={200: {"model": FacetsModel}, **responses()})
async def facets(service: Served, columns: Columns = "category", where: Where = None) -> Response:
    """The values of columns, counted in the products that meet a condition."""

    def ask() -> dict[str, Any]:
        store = service.catalog.live().store
        request = PageRequest.model_validate({"where": where, "facets": columns})
        met = Condition.parse(request.where, store.columns()) if request.where else None
        found = store.facets(list(request.facets), met)
        return {
            "facets": shown_facets({name: asdict(facet) for name, facet in found.items()}),
            "revision": store.revision,
            "note": "" if met is None else explain(store, met),
        }

    return answer(await service.work(ask))
