"""Options of commands that may fetch images from addresses."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hemline.data.remote.fetcher import Fetcher
    from hemline.data.remote.settings import RemoteSettings

#: A catalogue's own settings file.
FILE = "hemline.toml"

AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOST",
        help="Fetch images from here: cdn.shop.example (https), '*.shop.example', "
        "https://HOST:PORT, http://HOST, s3://BUCKET, gs://BUCKET. May be given several times; "
        "without any, nothing is fetched.",
    ),
]
AllowNetwork = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NETWORK",
        help="Fetch from hosts in this network (10.1.0.0/16), too, though it isn't public.",
    ),
]
RemoteFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help="A file whose table [remote] says what is fetched; default: hemline.toml in the "
        "catalogue's folder, where there is one.",
    ),
]


def remote_settings(
    file: Path | None, folder: Path, hosts: Sequence[str] | None, networks: Sequence[str] | None
) -> RemoteSettings:
    """The settings of a file, or of a folder's, with those of the command line."""
    from hemline.data.remote.settings import RemoteSettings, read_remote_settings

    own = file or folder / FILE
    settings = read_remote_settings(own) if file or own.is_file() else RemoteSettings()
    return settings.with_more(hosts or (), networks or ())


def fetching(
    file: Path | None, folder: Path, hosts: Sequence[str] | None, networks: Sequence[str] | None
) -> AbstractContextManager[Fetcher | None]:
    """What fetches images; None where no host is allowed."""
    settings = remote_settings(file, folder, hosts, networks)
    if not settings.allow:
        return nullcontext()
    from hemline.data.remote.fetcher import Fetcher

    return Fetcher(settings)
