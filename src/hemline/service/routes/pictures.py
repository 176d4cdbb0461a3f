"""Stored images by their ids, and the page's sample photos.

An id is the digest of the image's content: it can't be guessed, it is no path, and its content
never changes, so browsers may cache it, also in a smaller size. Images need no key: `<img>` can't
send one, and the shop shows them to everybody anyway.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from hemline.files import read_regular
from hemline.service.access import Served
from hemline.service.front import network_of
from hemline.service.problems import Problem, responses
from hemline.service.serving import Service
from hemline.service.thumbnails import media_type

router = APIRouter(prefix="/v1", tags=["pictures"])
_ID = re.compile(r"[0-9a-f]{40}")
#: The samples that come with the page.
_SAMPLES = Path(str(files("hemline.service"))) / "page" / "samples"
_CACHE = "public, max-age=31536000, immutable"
#: Also for a widget in a page that takes nothing without it (``Cross-Origin-Embedder-Policy``).
_ANYWHERE = {"Cross-Origin-Resource-Policy": "cross-origin"}
_SUFFIXES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}, "image/webp": {}}, "description": "The image."},
    304: {"description": "Not modified."},
}


@router.get(
    "/pictures/{picture_id}",
    response_class=Response,
    responses={**_ANSWERS, **responses(404)},
)
async def picture(
    picture_id: Annotated[str, InPath(max_length=100)],
    request: Request,
    service: Served,
    size: Annotated[
        Literal["160", "320", "480", "640"] | None,
        Query(description="Longest side in pixels; the stored image by default."),
    ] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """The stored copy of a product's image; with ``size`` a smaller one, WebP where `Accept` names
    it."""
    pictures = service.catalog.images
    if pictures is None or not _ID.fullmatch(picture_id):
        raise no_picture()
    path = pictures.path(picture_id)
    media = media_type(accept) if size else "image/jpeg"
    tag = f'"{picture_id}-{size}-{media[6:]}"' if size else f'"{picture_id}"'
    headers = {**_ANYWHERE, "ETag": tag, "Cache-Control": _CACHE}
    if size:
        headers["Vary"] = "Accept"
    if if_none_match is not None and tag in if_none_match and path.is_file():
        return Response(status_code=304, headers=headers)
    data = service.thumbnails.get(picture_id, int(size), media) if size else None
    if size and data is None:
        client = request.client.host if request.client else ""
        if service.thumbnail_rate.wait(network_of(client)):
            headers = {
                **_ANYWHERE,
                "Cache-Control": "no-store",
            }
            media, size = "image/jpeg", None
    if data is None:
        data = await service.work(lambda: _image(service, path, size, media))
    return Response(data, headers=headers, media_type=media)


def _image(service: Service, path: Path, size: str | None, media: str) -> bytes:
    """
    Raises:
        Problem: 404, there is no such image.
    """
    if size is None or not path.is_file():
        return _read(path)
    return service.thumbnails.make(path, int(size), media)


@router.get(
    "/samples/{number}",
    response_class=Response,
    responses={200: {"content": {"image/*": {}}, "description": "The photo."}, **responses(404)},
)
async def sample(number: int, service: Served) -> Response:
    """A sample photo; `GET /v1/info` lists them."""
    photos = samples(service.settings.samples)
    if not 0 <= number < len(photos):
        raise no_picture()
    kind = _SUFFIXES[photos[number].suffix.lower()]
    data = await service.work(lambda: _read(photos[number]))
    return Response(data, headers={"Cache-Control": "max-age=3600"}, media_type=kind)


def samples(folder: Path | None) -> list[Path]:
    """At most twelve photos of the folder, or of the page, in the order of their names."""
    folder = folder or _SAMPLES
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)[:12]


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError:
        raise no_picture() from None


def no_picture() -> Problem:
    return Problem(404, "no-picture", "there is no such image")
