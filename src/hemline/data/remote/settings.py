"""How images at addresses are fetched: ``[remote]`` of a settings file, and its bounds.

[remote]
allow = ["cdn.shop.example", "s3://shop-images"]
max_bytes = 33554432
cache = "fetched"
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from hemline.data.remote.addresses import Allowed
from hemline.errors import UsageError, nearest
from hemline.files import read_regular
from hemline.parsing import parse_toml

#: The table of a settings file.
TABLE = "remote"


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """What may be fetched, and at which cost.

    Attributes:
        allow: hosts and buckets; none: nothing is fetched (`Allowed` has the forms).
        networks: that aren't public, and may be connected to all the same.
        max_bytes: of one image.
        timeout: seconds for one attempt, from the first name looked up to the last byte.
        retries: further attempts after a failure that may pass.
        redirects: that are followed, each to an allowed host.
        connections: at the same time.
        max_age: seconds for which a fetched image isn't asked for again.
        cache: folder of what was fetched; None: ``remote`` in the user's data folder.
        cache_bytes: above which the images that weren't used longest are deleted.

    Raises:
        UsageError: a value out of its bounds.
    """

    allow: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    max_bytes: int = 32 << 20
    timeout: float = 60.0
    retries: int = 4
    redirects: int = 3
    connections: int = 16
    max_age: float = 86_400.0
    cache: Path | None = None
    cache_bytes: int = 20_000_000_000

    def __post_init__(self) -> None:
        least = {"max_bytes": 1, "connections": 1, "cache_bytes": 1, "retries": 0, "redirects": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise UsageError(f"{name} is at least {low}, not {getattr(self, name)}")
        if not (0 < self.timeout < math.inf) or not self.max_age >= 0:
            raise UsageError("timeout is above 0 seconds and finite, max_age at least 0")
        Allowed(self.allow, self.networks)

    def with_more(self, allow: Sequence[str], networks: Sequence[str]) -> RemoteSettings:
        """With further hosts and networks."""
        return replace(self, allow=(*self.allow, *allow), networks=(*self.networks, *networks))


def read_remote_settings(path: Path) -> RemoteSettings:
    """``[remote]`` of a settings file; the defaults, which fetch nothing, where it has none.

    Raises:
        UsageError: it can't be read, or a setting is unknown or wrong.
    """
    try:
        content = parse_toml(read_regular(path).decode())
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"{path} isn't TOML: {error}") from None
    given = content.get(TABLE, {})
    if not isinstance(given, dict):
        raise UsageError(f"{path}: [{TABLE}] is a table")
    try:
        return _settings(given, path.parent)
    except UsageError as error:
        raise UsageError(f"{path}: [{TABLE}]: {error}") from None


def _settings(given: Mapping[str, Any], folder: Path) -> RemoteSettings:
    known = {one.name: one.default for one in fields(RemoteSettings)}
    read: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"no setting {name!r}. {nearest(name, known)}")
        usual = known[name]
        if isinstance(usual, tuple):
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise UsageError(f"{name} is a list of texts")
            read[name] = tuple(value)
        elif usual is None:
            if not isinstance(value, str):
                raise UsageError(f"{name} is the name of a folder")
            read[name] = folder / value
        else:
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole and not (isinstance(usual, float) and isinstance(value, float)):
                kind = "number" if isinstance(usual, float) else "whole number"
                raise UsageError(f"{name} is a {kind}, not {value!r}")
            read[name] = value
    return RemoteSettings(**read)
