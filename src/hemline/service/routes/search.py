"""Photos in, products or garments out."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from hemline.data.images import crop, encode_jpeg, open_image
from hemline.errors import BundleError
from hemline.search.clock import Clock
from hemline.service.access import READ, Served
from hemline.service.answers import answer, box_of, detections_of, grid_of, hits_of, item_of
from hemline.service.bodies import DetectJson, SearchJson, SearchOptions, one_photo, search_body
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
from hemline.service.problems import Problem, bad, responses
from hemline.service.serving import Service
from hemline.types import Box, Image, SearchResult

router = APIRouter(prefix="/v1", tags=["search"])

Where = Annotated[str | None, Query(max_length=10_000, description="A condition over columns.")]
Columns = Annotated[str, Query(max_length=2000, description="Names of columns, with commas.")]
#: Longest side of a photo that is kept, pixels.
_KEPT = 640

_FORM = {
    "type": "object",
    "required": ["photo"],
    "properties": {
        "photo": {"type": "array", "items": FILE, "minItems": 1, "maxItems": 32},
        "k": {"type": "integer", "minimum": 1, "maximum": 200, "default": 20},
        "offset": {"type": "integer", "minimum": 0, "default": 0},
        "box": {"type": "string", "description": "x1,y1,x2,y2 in pixels of the upright photo"},
        "detect": {"type": "boolean", "default": False},
        "where": {"type": "string"},
        "facets": {"type": "string", "description": "names of columns, with commas"},
        "why": {"type": "boolean", "default": False},
    },
}
_JSON = SearchJson.model_json_schema()
_JSON["properties"]["photo"] = {"anyOf": [BASE64, {"type": "array", "items": BASE64}]}


@router.post(
    "/search",
    dependencies=READ,
    responses={200: {"model": SearchModel}, **responses(415)},
    openapi_extra=body(form=_FORM, json_schema=_JSON),
)
async def search(request: Request, service: Served) -> Response:
    """The products that look most like the one in a photo, or in several photos of it."""
    photos, options = await search_body(request, service.settings.max_body)
    return answer(await service.work(lambda: _search(service, photos, options)))


def _search(service: Service, photos: list[bytes], options: SearchOptions) -> dict[str, Any]:
    clock = Clock()
    with clock.step("decode"):
        images = [_opened(service, data, len(photos), n) for n, data in enumerate(photos, 1)]
    box = options.area()
    if box is not None and len(images) > 1:
        raise bad("a box is of one photo; send one photo with it")
    info = service.info
    if options.detect and info.detector is None:
        raise no_detector()
    result = service.engine.search_together(
        images,
        options.k,
        [box] * len(images),
        options.where,
        offset=options.offset,
        facets=options.facets,
        detect=options.detect,
    )
    height, width = images[0].shape[:2]
    part = crop(images[0], result.box).shape[:2]
    shape = (int(part[0]), int(part[1]))
    hits = hits_of(result, info, shape if options.why else None)
    timings = {**clock.timings(), **result.timings_ms}
    timings["decode"] = round(clock.timings()["decode"] + result.timings_ms["decode"], 3)
    timings["total"] = clock.timings()["total"]
    service.metrics.timed(timings)
    asked = options.model_dump(include={"k", "offset", "where", "detect"})
    asked |= {"photos": len(images), "box": box_of(result.box)}
    kept = _copy(images[0], result.box) if service.settings.keep_photos else None
    own = _noted(service, asked, result, timings, kept)
    return {
        **_shown(result, hits),
        "box": box_of(result.box),
        "size": [width, height],
        "detections": detections_of(result.detections),
        "timings_ms": timings,
        "search_id": own,
    }


def _noted(
    service: Service,
    asked: dict[str, Any],
    result: SearchResult,
    timings: Mapping[str, float],
    photo: bytes | None = None,
) -> str:
    """Writes a search into the journal; the id under which it can be judged."""
    own = secrets.token_hex(12)
    hits = tuple((hit.item_id, hit.image_id, hit.score) for hit in result.hits)
    service.journal.note(Search(own, asked, hits, timings, photo))
    return own


def _shown(result: SearchResult, hits: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "hits": hits,
        "facets": {name: dict(facet) for name, facet in result.facets.items()},
        "offset": result.offset,
        "more": result.more,
        "revision": result.revision,
        "timings_ms": dict(result.timings_ms),
    }


def _opened(service: Service, data: bytes, photos: int, number: int) -> Image:
    name = "the photo" if photos == 1 else f"photo {number}"
    return open_image(data, service.settings.max_pixels, name=name)


def _copy(image: Image, box: Box | None) -> bytes:
    """What was searched with, as a JPEG that says nothing else."""
    return encode_jpeg(crop(image, box), 85, _KEPT)


def no_detector() -> Problem:
    return bad("this catalogue's bundle finds no garments; send a box instead", "no-detector")


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
    clock = Clock()
    with clock.step("decode"):
        image = _opened(service, photo, 1, 1)
    try:
        detector = service.engine.detector()
    except BundleError:
        raise no_detector() from None
    with clock.step("detect"):
        (found,) = detector.detect([image])
    timings = clock.timings()
    service.metrics.timed(timings)
    shown = [one for one in found if one.score >= detector.threshold]
    return {
        "size": [image.shape[1], image.shape[0]],
        "detections": detections_of(shown),
        "timings_ms": timings,
    }


def unknown_item() -> Problem:
    return Problem(404, "no-item", "the catalogue has no such product")


@router.get(
    "/items/{item_id:path}/similar",
    dependencies=READ,
    responses={200: {"model": SimilarModel}, **responses(404)},
)
async def similar(
    item_id: str,
    service: Served,
    k: Annotated[int, Query(ge=1, le=200)] = 20,
    offset: Annotated[int, Query(ge=0, lt=9_800)] = 0,
    where: Where = None,
    facets: Columns = "",
) -> Response:
    """The products that look most like one of the catalogue; itself is left out."""

    def ask() -> dict[str, Any]:
        if not service.catalog.live().store.items([item_id], vectors=False):
            raise unknown_item()
        names = [name.strip() for name in facets.split(",") if name.strip()]
        result = service.engine.like(item_id, k, where or None, offset=offset, facets=names)
        service.metrics.timed(result.timings_ms)
        asked = {"k": k, "offset": offset, "where": where, "like": item_id}
        own = _noted(service, asked, result, result.timings_ms)
        return {**_shown(result, hits_of(result, service.info)), "search_id": own}

    return answer(await service.work(ask))


@router.get(
    "/items/{item_id:path}",
    dependencies=READ,
    responses={200: {"model": ItemModel}, **responses(404)},
)
async def item(
    item_id: str,
    service: Served,
    why: Annotated[bool, Query(description="Bring the shop tower's attention.")] = False,
) -> Response:
    """A product with its pictures."""

    def ask() -> dict[str, Any]:
        rows = service.catalog.live().store.items([item_id], vectors=False)
        if not rows:
            raise unknown_item()
        shown = item_of(rows)
        if why:
            for picture, row in zip(shown["pictures"], rows, strict=True):
                path = service.catalog.picture(row)
                if path is not None and path.is_file():
                    image = open_image(path.read_bytes(), service.settings.max_pixels)
                    picture["attention"] = attention_of(service, image, row.tags)
        return shown

    return answer(await service.work(ask))


def attention_of(service: Service, image: Image, tags: tuple[str, ...]) -> dict[str, Any] | None:
    """Where the shop tower looks in a picture, or None where it looks everywhere alike."""
    live = service.catalog.live()
    weights = live.encoder(service.settings.threads).encode_shop([image], [tags]).weights
    grid = live.bundle.info.grid
    if weights is None or grid is None:
        return None
    return grid_of(np.asarray(weights[0], np.float32).reshape(grid))


@router.get("/facets", dependencies=READ, responses={200: {"model": FacetsModel}, **responses()})
async def facets(service: Served, columns: Columns = "category", where: Where = None) -> Response:
    """The values of columns, counted in products that meet a condition."""

    def ask() -> dict[str, Any]:
        from dataclasses import asdict

        from hemline.catalog.where.expression import Where as Condition

        store = service.catalog.live().store
        names = [name.strip() for name in columns.split(",") if name.strip()]
        met = Condition.parse(where, store.columns()) if where else None
        found = store.facets(names, met)
        return {
            "facets": {name: asdict(facet) for name, facet in found.items()},
            "revision": store.revision,
        }

    return answer(await service.work(ask))
