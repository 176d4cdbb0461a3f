"""The files of the pages, from the package; no other file can be requested."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from hemline.service.access import Served, check_admin_page
from hemline.service.problems import Problem

router = APIRouter(include_in_schema=False)
_ROOT = Path(str(files("hemline.service"))) / "page"
_PAGES = {"/": "index.html", "/admin": "admin.html"}
_KINDS = {".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml"}


@router.get("/")
@router.get("/admin")
async def page(request: Request, service: Served) -> Response:
    """The search page and the admin page."""
    if request.scope["path"] == "/admin":
        check_admin_page(service)
    return served(request, _PAGES[request.scope["path"]])


@router.get("/static/{name:path}")
async def static(request: Request, name: str) -> Response:
    """Scripts, styles and images of the pages."""
    return served(request, name)


@cache
def _files() -> dict[str, Path]:
    """Listed once: anybody may ask, also for what isn't there."""
    return {path.relative_to(_ROOT).as_posix(): path for path in _ROOT.rglob("*") if path.is_file()}


def served(request: Request, name: str) -> Response:
    """A file of the pages by its name; the name is looked up, and never used as a path."""
    path = _files().get(name)
    if path is None:
        raise Problem(404, "not-found", "there is nothing here")
    data = path.read_bytes()
    tag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    kind = _KINDS.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(data, headers=headers, media_type=kind)
