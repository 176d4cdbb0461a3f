"""HTML pages that need no other file: one template, with every image in the page."""

from __future__ import annotations

import base64
import html
from importlib import resources
from pathlib import Path
from string import Template

from hemline.data.images import encode_jpeg
from hemline.files import write_durable
from hemline.types import Image


def write_html(path: Path, kind: str, title: str, note: str, body: str) -> None:
    """Writes one page, light or dark as the reader prefers.

    Args:
        path: the file.
        kind: class of the page's body, which chooses its styles: ``hits`` or ``check``.
        title, note: plain text.
        body: HTML.

    Raises:
        OSError: it can't be written.
    """
    template = resources.files("hemline.views").joinpath("page.html").read_text("utf-8")
    page = Template(template).substitute(
        kind=kind, title=html.escape(title), note=html.escape(note), body=body
    )
    write_durable(path, page)


def data_uri(data: bytes, kind: str) -> str:
    """An image file's bytes as an address; ``kind`` is ``png`` or ``jpeg``."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def jpeg_uri(image: Image, quality: int, max_side: int) -> str:
    """An image as an address of a JPEG of at most ``max_side`` pixels."""
    return data_uri(encode_jpeg(image, quality=quality, max_side=max_side), "jpeg")
