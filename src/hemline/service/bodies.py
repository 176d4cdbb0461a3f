"""Request bodies: photos and options as multipart or JSON, within limits and only in memory.

No part of a photo is written to the disk here, so place and device in its EXIF leave memory with
the request.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from hemline import parsing
from hemline.errors import UsageError, first_error
from hemline.limits import DEFAULT_K, MAX_HITS, MAX_PHOTOS
from hemline.service.problems import Problem, bad
from hemline.text import check_text
from hemline.types import Box, PageRequest, SearchRequest

MULTIPART, JSON = "multipart/form-data", "application/json"
#: Of JSON, where an item's has some hundred: each may be an error of its own, which takes 0.01 ms
#: of the loop that answers everybody.
_PARTS = 50_000
_FIELD = 1 << 16  # bytes of a field that is no file
_CHARSET = re.compile(r'charset[^=;]*=\s*"?([^\s";]*)')
_CHARSETS = ("utf-8", "utf8", "us-ascii")


class SearchForm(PageRequest):
    """The options of a search beside its photos; the fields of the form have these names.

    Attributes:
        k, offset, where, facets: as in `PageRequest`.
        box: the part of the photo that shows the product, x1, y1, x2, y2 in pixels of the upright
            photo.
        detect: without a box, search with the photo's best garment.
        every: of one photo without a box, search with the whole photo and with every garment found
            in it; a product's score is the highest that any of them gives it.
        why: whether each hit has its attention.
        keep: false keeps the photo out of what the service keeps (``--keep-photos``).
    """

    k: int = Field(default=DEFAULT_K, ge=1, le=MAX_HITS)
    box: tuple[float, float, float, float] | None = None
    detect: bool = False
    every: bool = False
    why: bool = False
    keep: bool | None = None

    @field_validator("box", mode="before")
    @classmethod
    def _split_box(cls, value: Any) -> Any:
        if value in (None, ""):
            return None
        return value.split(",") if isinstance(value, str) else value

    def request(self, photos: Sequence[bytes]) -> SearchRequest:
        """
        Raises:
            UsageError: as `SearchRequest`.
        """
        return SearchRequest(
            photos=tuple(photos),
            boxes=() if self.box is None else (Box.parse(self.box),),
            detect=self.detect,
            every=self.every,
            attention=self.why,
            k=self.k,
            offset=self.offset,
            where=self.where,
            facets=self.facets,
        )


class SearchJson(SearchForm):
    """A search as JSON: ``photo`` is base64, or a list of base64 photos of one product."""

    photo: str | list[str]


class DetectJson(BaseModel):
    """A photo as base64."""

    model_config = ConfigDict(extra="forbid")

    photo: str


@dataclass(slots=True)
class Form:
    """A multipart body.

    Attributes:
        files: name → contents, in the order sent.
        fields: name → the last value.
    """

    files: dict[str, list[bytes]] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)


def media_of(request: Request) -> str:
    """The media type of the body.

    Raises:
        Problem: 415, a form in another charset than UTF-8: some (idna) take minutes to be decoded.
    """
    given = request.headers.get("content-type", "").lower()
    media = given.split(";")[0].strip()
    if media == MULTIPART and any(name not in _CHARSETS for name in _CHARSET.findall(given)):
        raise Problem(415, "media-type", "a form's charset is utf-8")
    return media


async def read_form(request: Request, files: int, limit: int) -> Form:
    """A multipart body, read into memory.

    Raises:
        Problem: 400, it can't be read or has more than ``files`` files; 422, a text in it isn't
            UTF-8 or can't be stored.
    """

    # Starlette would read bytes that aren't UTF-8 as Latin-1; so it reads all of them so.
    headers = Headers({"content-type": f"{request.headers['content-type']}; charset=latin-1"})
    form = Form()
    try:
        stream: AsyncGenerator[bytes, None] = request.stream()
        parser = MultiPartParser(
            headers, stream, max_files=files, max_fields=32, max_part_size=_FIELD
        )
        parser.spool_max_size = limit + 1  # never on the disk
        parsed = await parser.parse()
        for raw, value in parsed.multi_items():
            name = _utf8(raw)
            if isinstance(value, UploadFile):
                form.files.setdefault(name, []).append(await value.read())
                await value.close()
            else:
                form.fields[name] = _utf8(value)
    except MultiPartException as error:
        raise bad(f"the form can't be read: {error.message}", "bad-form", 400) from None
    except (ValueError, AssertionError, LookupError):
        raise bad("the form can't be read", "bad-form", 400) from None
    return form


def _utf8(text: str) -> str:
    """The text of bytes that were read as Latin-1.

    Raises:
        Problem: 422, they aren't UTF-8, or the text can't be stored.
    """
    try:
        decoded: str = checked_text(text.encode("latin-1").decode())
        return decoded
    except UnicodeDecodeError:
        raise bad("a text of the form isn't UTF-8", "bad-text") from None


async def read_json(request: Request) -> Any:
    """
    Raises:
        Problem: 400, the body isn't JSON.
    """
    return parse_json(await request.body())


def parse_json(data: bytes) -> Any:
    """
    Raises:
        Problem: 400, the body isn't JSON, or has too many parts; 422, a text in it can't be stored.
    """
    if sum(map(data.count, b",:[{")) > _PARTS:
        raise bad(f"the JSON has more than {_PARTS:,} parts", "bad-json", 400)
    try:
        value = parsing.parse_json(data, _no_constant)
    except ValueError:
        raise bad("the body isn't JSON (UTF-8, without NaN)", "bad-json", 400) from None
    return checked_text(value)


def checked_text(value: Any) -> Any:
    """
    Raises:
        Problem: 422, a text in ``value`` can't be stored.
    """
    try:
        return check_text(value, "the request")
    except UsageError as error:
        raise bad(str(error), "bad-text") from None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def unpacked(text: str) -> bytes:
    """Base64 → bytes; the head of a data URL is skipped.

    Raises:
        Problem: 422, it isn't base64.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise bad("an image in JSON is base64", "bad-picture") from None


async def search_body(request: Request, limit: int) -> tuple[list[bytes], SearchForm]:
    """The photos and options of a search.

    Raises:
        Problem: 400, 415 or 422.
    """
    media = media_of(request)
    if media == MULTIPART:
        form = await read_form(request, MAX_PHOTOS, limit)
        photos = form.files.get("photo", [])
        unknown = sorted(set(form.files) - {"photo"})
        if unknown:
            raise bad(f"send a file as 'photo', not as {unknown[0][:50]!r}")
        options: SearchForm = checked(SearchForm, form.fields)
    elif media == JSON:
        options = given = checked(SearchJson, await read_json(request))
        texts = [given.photo] if isinstance(given.photo, str) else given.photo
        photos = [unpacked(text) for text in texts[: MAX_PHOTOS + 1]]
    else:
        raise unsupported(MULTIPART, JSON)
    if not photos:
        raise bad("send a photo: a file named 'photo'", "no-photo")
    return photos, options


async def one_photo(request: Request, limit: int) -> bytes:
    """The one photo of a body.

    Raises:
        Problem: 400, 415 or 422.
    """
    media = media_of(request)
    if media == MULTIPART:
        form = await read_form(request, 1, limit)
        photos = form.files.get("photo", [])
        if not photos:
            raise bad("send a photo: a file named 'photo'", "no-photo")
        return photos[0]
    if media == JSON:
        return unpacked(checked(DetectJson, await read_json(request)).photo)
    raise unsupported(MULTIPART, JSON)


def unsupported(*known: str) -> Problem:
    return Problem(415, "media-type", f"the body is {' or '.join(known)}")


def checked(model: type[Any], value: Any) -> Any:
    """``value`` as a ``model``.

    Raises:
        Problem: 422 with the first problem found.
    """
    if not isinstance(value, Mapping):
        raise bad("a JSON object is expected")
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        raise bad(first_error(error)) from None
