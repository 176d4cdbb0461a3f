"""Reads what is sent: photos and options, by multipart or JSON; within limits, and in memory alone.

Nothing of a photo touches the disk here, so what its EXIF tells of place and device stays in
memory and is gone with the request.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from hemline.search.engine import MAX_K, MAX_PHOTOS
from hemline.service.problems import Problem, bad
from hemline.types import Box

MULTIPART, JSON = "multipart/form-data", "application/json"
_FIELD = 1 << 16  # bytes of a field that is no file


class SearchOptions(BaseModel):
    """What a search may be asked, beside its photos; the fields of the form have these names.

    Attributes:
        k: how many products.
        offset: how many of the first are passed over.
        box: where the product is, x1, y1, x2, y2 in pixels of the upright photo.
        detect: without a box, searches with the photo's best garment.
        where: a condition over the stored columns.
        facets: columns whose values are counted.
        why: whether each hit brings where it was looked at.
    """

    model_config = ConfigDict(extra="forbid")

    k: int = Field(default=20, ge=1, le=200)
    offset: int = Field(default=0, ge=0, lt=MAX_K)
    box: tuple[float, float, float, float] | None = None
    detect: bool = False
    where: str | None = Field(default=None, max_length=10_000)
    facets: tuple[str, ...] = Field(default=(), max_length=50)
    why: bool = False

    @field_validator("box", mode="before")
    @classmethod
    def _box(cls, value: Any) -> Any:
        if value in (None, ""):
            return None
        if isinstance(value, str):
            return value.split(",")
        return value

    @field_validator("facets", mode="before")
    @classmethod
    def _facets(cls, value: Any) -> Any:
        if value is None:
            return ()
        if isinstance(value, str):
            return [name.strip() for name in value.split(",") if name.strip()]
        return value

    @field_validator("where", mode="before")
    @classmethod
    def _where(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value

    def area(self) -> Box | None:
        """
        Raises:
            UsageError: a box without area.
        """
        return None if self.box is None else Box.parse(",".join(repr(v) for v in self.box))


class SearchJson(SearchOptions):
    """A search as JSON: ``photo`` is base64, or a list of them that show one product."""

    photo: str | list[str]


class DetectJson(BaseModel):
    """A photo as base64."""

    model_config = ConfigDict(extra="forbid")

    photo: str


@dataclass(slots=True)
class Form:
    """What a multipart body had.

    Attributes:
        files: name → contents, in their order.
        names: name → the file names, in the same order.
        fields: name → the last value.
    """

    files: dict[str, list[bytes]] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)


def media_of(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def read_form(request: Request, files: int, limit: int) -> Form:
    """A multipart body, wholly in memory.

    Raises:
        Problem: 400 where it can't be read, or has more parts than are allowed.
    """

    class InMemory(MultiPartParser):
        spool_max_size = limit + 1

    def stream() -> AsyncGenerator[bytes, None]:
        return request.stream()

    form = Form()
    try:
        parser = InMemory(
            request.headers, stream(), max_files=files, max_fields=32, max_part_size=_FIELD
        )
        parsed = await parser.parse()
        for name, value in parsed.multi_items():
            if isinstance(value, UploadFile):
                form.files.setdefault(name, []).append(await value.read())
                form.names.setdefault(name, []).append(value.filename or "")
                await value.close()
            else:
                form.fields[name] = value
    except MultiPartException as error:
        raise bad(f"the form can't be read: {error.message}", "bad-form", 400) from None
    except (ValueError, AssertionError, LookupError):
        raise bad("the form can't be read", "bad-form", 400) from None
    return form


async def read_json(request: Request) -> Any:
    """
    Raises:
        Problem: 400 where it is no JSON.
    """
    return parse_json(await request.body())


def parse_json(data: bytes) -> Any:
    """
    Raises:
        Problem: 400 where it is no JSON.
    """
    try:
        return json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise bad("the body is no JSON (UTF-8, without NaN)", "bad-json", 400) from None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def unpacked(text: str) -> bytes:
    """Base64 → bytes; a data URL's head is passed over.

    Raises:
        Problem: it isn't base64.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise bad("a picture in JSON is base64", "bad-picture") from None


async def search_body(request: Request, limit: int) -> tuple[list[bytes], SearchOptions]:
    """The photos and options of a search.

    Raises:
        Problem: 400, 415 or 422.
    """
    media = media_of(request)
    if media == MULTIPART:
        form = await read_form(request, MAX_PHOTOS, limit)
        photos = form.files.get("photo", [])
        strange = sorted(set(form.files) - {"photo"})
        if strange:
            raise bad(f"a file is sent as 'photo', not as {strange[0][:50]!r}")
        options = checked(SearchOptions, form.fields)
    elif media == JSON:
        asked = checked(SearchJson, await read_json(request))
        texts = [asked.photo] if isinstance(asked.photo, str) else asked.photo
        if len(texts) > MAX_PHOTOS:
            raise bad(f"at most {MAX_PHOTOS} photos are one query")
        photos = [unpacked(text) for text in texts]
        options = asked
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
        Problem: 422 with the first thing that is wrong.
    """
    if not isinstance(value, Mapping):
        raise bad("a JSON object is expected")
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])[:100]
        raise bad(f"{name}: {first['msg']}" if name else str(first["msg"])) from None
