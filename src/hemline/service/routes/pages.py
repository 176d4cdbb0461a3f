"""The files of the pages, from the package; no other file can be requested."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from hemline.service.access import Served, check_admin_page
from hemline.service.problems import Problem

router = APIRouter(include_in_schema=False)
_ROOT = Path(str(files("hemline.service"))) / "page"
#: The shop's page loads it with every view; a new version is there after ten minutes.
_WIDGET_CACHE = "public, max-age=600, stale-while-revalidate=86400"
#: What gzip makes smaller.
_TEXTS = {"text/css", "text/html", "text/javascript", "application/json", "image/svg+xml"}
#: Also for pages of other sites that take nothing without it (``Cross-Origin-Embedder-Policy``).
ANYWHERE = {"Cross-Origin-Resource-Policy": "cross-origin"}
_KINDS = {".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml"}


@router.get("/")
@router.get("/admin")
async def page(request: Request, service: Served) -> Response:
    """The search page and the admin page."""
    if request.scope["path"] == "/admin":
        check_admin_page(service)
        return served(request, "admin.html")
    accepted = request.headers.get("accept-language", "")
    html = service.shop_files.html((_ROOT / "index.html").read_bytes(), accepted)
    return _answer(request, html, "text/html", {"Vary": "Accept-Language, Accept-Encoding"})


@router.get("/widget.js")
async def widget(request: Request) -> Response:
    """The script that a page of another site loads; docs/widget.md."""
    return served(request, "widget.js", ANYWHERE | {"Cache-Control": _WIDGET_CACHE})


@router.get("/static/{name:path}")
async def static(request: Request, name: str, service: Served) -> Response:
    """Scripts, styles and images of the pages; some are as the shop wants them."""
    own = service.shop_files.get(name)
    if own is not None:
        return _answer(request, *own, ANYWHERE)
    return served(request, name, ANYWHERE)


@cache
def _files() -> dict[str, Path]:
    """Listed once: anybody may ask, also for what isn't there."""
    return {path.relative_to(_ROOT).as_posix(): path for path in _ROOT.rglob("*") if path.is_file()}


@lru_cache(1024)
def _packed(data: bytes) -> bytes:
    """Compressed once, whatever the request."""
    return gzip.compress(data, 9, mtime=0)


def served(request: Request, name: str, more: Mapping[str, str] | None = None) -> Response:
    """A file of the pages by its name; the name is looked up, and never used as a path."""
    path = _files().get(name)
    if path is None:
        raise Problem(404, "not-found", "there is nothing here")
    kind = _KINDS.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return _answer(request, path.read_bytes(), kind, more)


def _answer(
    request: Request, data: bytes, kind: str, more: Mapping[str, str] | None = None
) -> Response:
    headers = {"Cache-Control": "no-cache", **(more or {})}
    if kind in _TEXTS:
        headers.setdefault("Vary", "Accept-Encoding")
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"], data = "gzip", _packed(data)
    headers["ETag"] = tag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
    if tag in request.headers.get("if-none-match", ""):
        headers.pop("Content-Encoding", None)
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=kind)
