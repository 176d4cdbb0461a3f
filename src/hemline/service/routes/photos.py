"""Photos that a shopper shares by a link, where the shop allows it, and their searches."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from hemline.data.bounded import opened
from hemline.data.images import crop, encode_jpeg
from hemline.errors import OtherBundleError
from hemline.limits import DEFAULT_K, MAX_HITS, MAX_RANK
from hemline.search.encoded import EncodedPhoto
from hemline.service.access import READ, Served
from hemline.service.answers import answer
from hemline.service.bodies import SearchForm, search_body
from hemline.service.front import network_of
from hemline.service.models import FILE, PhotoModel, SearchModel, body
from hemline.service.photo_links import DAY
from hemline.service.problems import Problem, bad, responses
from hemline.service.routes.search import Columns, Where, searched
from hemline.service.serving import Service
from hemline.types import Box, SearchRequest

router = APIRouter(prefix="/v1/photos", tags=["photos"])
#: Longest side of a photo that is kept, pixels.
_SIDE = 480
_QUALITY = 85
_FORM = {
    "type": "object",
    "required": ["photo"],
    "properties": {
        "photo": FILE,
        "box": {"type": "string", "description": "x1,y1,x2,y2 in pixels of the upright photo"},
        "every": {
            "type": "boolean",
            "description": "Without a box: its searches are by the photo "
            "and every garment found in it.",
        },
    },
}


@router.post(
    "",
    dependencies=READ,
    responses={200: {"model": PhotoModel}, **responses(404, 415)},
    openapi_extra=body(form=_FORM),
)
async def share(request: Request, service: Served) -> Response:
    """Keeps the searched part of a photo, and its encoding, for a day.

    Whoever has its id can see it and search with it.
    """
    service.photo_links.check_allowed()
    photos, form = await search_body(request, service.settings.max_body)
    if len(photos) > 1:
        raise bad("send one photo", "one-photo")
    client = request.client.host if request.client else "here"
    wait = service.photo_rate.wait(network_of(client))
    if wait:
        after = {"Retry-After": str(int(wait) + 1)}
        raise Problem(429, "too-many", "too many photos were shared from this address", after)
    return answer(await service.work(lambda: _share(service, photos[0], form)))


def _share(service: Service, photo: bytes, form: SearchForm) -> dict[str, Any]:
    box = None if form.box is None else Box.parse(form.box)
    encoded = service.engine.encode(photo, box, every=form.every).to_bytes()
    with opened(photo, service.settings.max_pixels, name="the photo") as image:
        small = encode_jpeg(crop(image, box), _QUALITY, _SIDE)  # drawn anew, without any EXIF
    return {"id": service.photo_links.put(small, encoded), "seconds": DAY}


@router.get(
    "/{photo_id}",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}, "description": "The photo."},
        **responses(404),
    },
)
async def shared(photo_id: Annotated[str, InPath(max_length=100)], service: Served) -> Response:
    """The searched part of a photo that was shared within the last day."""
    data = await service.work(lambda: service.photo_links.get(photo_id))
    headers = {"Cache-Control": "private, no-store", "X-Robots-Tag": "noindex"}
    return Response(data, headers=headers, media_type="image/jpeg")


@router.get(
    "/{photo_id}/search",
    dependencies=READ,
    responses={200: {"model": SearchModel}, **responses(404, 410)},
)
async def search(
    photo_id: Annotated[str, InPath(max_length=100)],
    service: Served,
    k: Annotated[int, Query(ge=1, le=MAX_HITS)] = DEFAULT_K,
    offset: Annotated[int, Query(ge=0, lt=MAX_RANK)] = 0,
    where: Where = None,
    facets: Columns = "",
    why: Annotated[bool, Query(description="Add to each hit its attention.")] = False,
) -> Response:
    """The products for a shared photo, by its stored encoding; 410 where the bundle has changed."""

    def ask() -> dict[str, Any]:
        encoded = EncodedPhoto.from_bytes(service.photo_links.encoded(photo_id))
        given = {
            "k": k, "offset": offset, "where": where, "facets": facets, "attention": why,
            "embeddings": encoded.query.embeddings,
        }  # fmt: skip
        try:
            result = service.engine.answer_encoded(encoded, SearchRequest.model_validate(given))
        except OtherBundleError:
            detail = "the shop's search has changed since this photo was shared; send the photo"
            raise Problem(410, "photo-ended", detail) from None
        query = {"k": k, "offset": offset, "where": where, "photos": 1, "shared": True}
        return searched(service, result, query, why)

    return answer(await service.work(ask))
