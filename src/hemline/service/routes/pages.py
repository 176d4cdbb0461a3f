"""The page's files, out of the package; nothing else of the disk can be asked for."""

from __future__ import annotations

import hashlib
import mimetypes
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from hemline.service.problems import Problem

router = APIRouter(include_in_schema=False)
_ROOT = Path(str(files("hemline.service"))) / "page"
_PAGES = {"/": "index.html", "/admin": "admin.html"}
_KINDS = {".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml"}


@router.get("/")
@router.get("/admin")
async def page(request: Request) -> Response:
    """The search page, and the shop's own."""
    return served(request, _PAGES[request.url.path])


@router.get("/static/{name:path}")
async def static(request: Request, name: str) -> Response:
    """What the pages need."""
    return served(request, name)


def served(request: Request, name: str) -> Response:
    """A file of the page by its name, of those that are there; a name is never made a path."""
    known = {path.relative_to(_ROOT).as_posix(): path for path in _ROOT.rglob("*")}
    path = known.get(name)
    if path is None or not path.is_file():
        raise Problem(404, "not-found", "there is nothing here")
    data = path.read_bytes()
    tag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    kind = _KINDS.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(data, headers=headers, media_type=kind)
