"""Stored pictures by their ids, and the photos that the page offers to start with.

An id is the digest of a picture's content: it can't be guessed, it leads to no path, and what it
names never changes, so browsers may keep it. Pictures are shown without a key: `<img>` can't send
one, and the shop shows them to everybody anyway.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi import Path as InPath
from starlette.responses import Response

from hemline.service.access import Served
from hemline.service.problems import Problem, responses

router = APIRouter(prefix="/v1", tags=["pictures"])
_ID = re.compile(r"[0-9a-f]{40}")
#: The page's own samples.
_OWN = Path(str(files("hemline.service"))) / "page" / "samples"
_KEEP = "public, max-age=31536000, immutable"
_SUFFIXES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}}, "description": "The picture."},
    304: {"description": "As it was."},
}


@router.get(
    "/pictures/{picture_id}",
    response_class=Response,
    responses={**_ANSWERS, **responses(404)},
)
async def picture(
    picture_id: Annotated[str, InPath(max_length=100)],
    service: Served,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The stored copy of a product's picture."""
    pictures = service.catalog.pictures
    if pictures is None or not _ID.fullmatch(picture_id):
        raise no_picture()
    tag = f'"{picture_id}"'
    headers = {"ETag": tag, "Cache-Control": _KEEP}
    path = pictures.path(picture_id)
    if if_none_match is not None and tag in if_none_match and path.is_file():
        return Response(status_code=304, headers=headers)
    data = await service.work(lambda: _read(path))
    return Response(data, headers=headers, media_type="image/jpeg")


@router.get(
    "/samples/{number}",
    response_class=Response,
    responses={200: {"content": {"image/*": {}}, "description": "The photo."}, **responses(404)},
)
async def sample(number: int, service: Served) -> Response:
    """A photo to start with; `GET /v1/info` lists them."""
    photos = samples(service.settings.samples)
    if not 0 <= number < len(photos):
        raise no_picture()
    kind = _SUFFIXES[photos[number].suffix.lower()]
    data = await service.work(lambda: _read(photos[number]))
    return Response(data, headers={"Cache-Control": "max-age=3600"}, media_type=kind)


def samples(folder: Path | None) -> list[Path]:
    """The photos of the folder, or else those of the page, at most twelve, by name."""
    folder = folder or _OWN
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)[:12]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise no_picture() from None


def no_picture() -> Problem:
    return Problem(404, "no-picture", "there is no such picture")
