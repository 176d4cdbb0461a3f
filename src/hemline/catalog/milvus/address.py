"""Addresses: ``milvus://HOST:PORT/NAME`` of a server, ``milvus-lite:PATH.db`` of a file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from hemline.errors import UsageError, nearest

#: The environment variable with ``USER:PASSWORD`` or a token, which no address or file has.
TOKEN = "HEMLINE_MILVUS_TOKEN"
_PORT = 19530
_SERVER = re.compile(r"milvus(\+tls)?:/{1,2}(?=[^/])")  # a `Path` keeps one slash of two
_LITE = "milvus-lite:"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_CONSISTENCY = {"session": "Session", "bounded": "Bounded", "strong": "Strong"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a catalogue is.

    Attributes:
        text: as a catalogue's folder keeps it.
        uri: what pymilvus connects to; for milvus-lite a file.
        name: of the catalogue: the alias of its live collection.
        consistency: of searches: ``Session``, ``Bounded`` or ``Strong``.
        timeout: seconds until a server that doesn't answer is an error.
    """

    text: str
    uri: str
    name: str
    consistency: str = "Session"
    timeout: float = 30.0

    @property
    def is_lite(self) -> bool:
        """Whether it is a file of milvus-lite, which one process opens at a time."""
        return self.text.startswith(_LITE)

    @property
    def shown(self) -> str:
        """The place in messages."""
        return self.uri if self.is_lite else self.uri.partition("//")[2]

    @property
    def token(self) -> str:
        """``USER:PASSWORD`` or a token, from the environment; empty where there is none."""
        return "" if self.is_lite else os.environ.get(TOKEN, "")


def is_address(text: str | os.PathLike[str]) -> bool:
    """Whether a text is an address rather than a folder."""
    given = str(text)
    return given.startswith(_LITE) or _SERVER.match(given) is not None


def parse(text: str | os.PathLike[str], folder: Path | None = None) -> Address:
    """Parses an address; a relative PATH of milvus-lite is one of ``folder``, by default here.

    Raises:
        UsageError: it has another form.
    """
    given = str(text)
    if given.startswith(_LITE):
        path = Path(folder or Path.cwd(), given.removeprefix(_LITE))
        if path.suffix != ".db":
            raise UsageError(
                f"{given}: a file of milvus-lite ends in .db, as in milvus-lite:shop.db"
            )
        name = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
        text = given if folder else _LITE + str(path.absolute())
        return Address(text, str(path.absolute()), _checked(name, given))
    found = _SERVER.match(given)
    if found is None:
        raise UsageError(f"{given!r} isn't milvus://HOST:PORT/NAME or milvus-lite:PATH.db")
    scheme = "https" if found[1] else "http"
    parts = urlsplit(f"{scheme}://{given[found.end() :]}")
    if "@" in parts.netloc:
        raise UsageError(f"an address has no password; set {TOKEN} to USER:PASSWORD or a token")
    try:
        port = parts.port or _PORT
    except ValueError:
        raise UsageError(f"{given}: a port is a number up to 65535") from None
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Address(
        given.replace(found[0], f"milvus{found[1] or ''}://", 1),
        f"{scheme}://{host}:{port}",
        _checked(parts.path.strip("/"), given),
        *_options(options, given),
    )


def _checked(name: str, given: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{given}: the name {name!r} of a catalogue on Milvus has letters, digits and "
            "underscores, and begins with a letter"
        )
    return name


def _options(options: dict[str, str], given: str) -> tuple[str, float]:
    consistency = options.pop("consistency", "session")
    if consistency not in _CONSISTENCY:
        raise UsageError(
            f"{given}: no consistency {consistency!r}. {nearest(consistency, _CONSISTENCY)}"
        )
    try:
        timeout = float(options.pop("timeout", 30))
        if not 0 < timeout <= 3600:
            raise ValueError
    except ValueError:
        raise UsageError(f"{given}: timeout is a number of seconds, up to 3600") from None
    for name in options:
        raise UsageError(f"{given}: no option {name!r}; there are consistency and timeout")
    return _CONSISTENCY[consistency], timeout
