"""Photos that a shopper shares by a link, where the shop allows it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from starlette.responses import Response

from hemline.data.bounded import opened
from hemline.data.images import crop, encode_jpeg
from hemline.service.access import READ, Served, network_of
from hemline.service.answers import answer
from hemline.service.bodies import SearchForm, search_body
from hemline.service.models import FILE, PhotoModel, body
from hemline.service.photo_links import DAY
from hemline.service.problems import Problem, bad, responses
from hemline.service.serving import Service
from hemline.types import Box

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
    },
}


@router.post(
    "",
    dependencies=READ,
    responses={200: {"model": PhotoModel}, **responses(404, 415)},
    openapi_extra=body(form=_FORM),
)
async def share(request: Request, service: Served) -> Response:
    """Keeps the searched part of a photo for a day; whoever has its id can see it."""
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
    with opened(photo, service.settings.max_pixels, name="the photo") as image:
        small = encode_jpeg(crop(image, box), _QUALITY, _SIDE)  # drawn anew, without any EXIF
    return {"id": service.photo_links.put(small), "seconds": DAY}


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
