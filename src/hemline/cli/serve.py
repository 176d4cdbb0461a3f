"""``hemline serve``: a catalogue behind HTTP, with the search page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._common import DatabaseOption, natives_hushed, say
from hemline.limits import MAX_SENT_PIXELS
from hemline.sql import DATABASE

if TYPE_CHECKING:
    from hemline.service.settings import Settings

_MEGA = 1 << 20
#: Options that may be repeated, and their settings.
_LISTS = {
    "name": "names",
    "cors": "cors",
    "trusted_proxy": "proxies",
    "frame_ancestors": "frame_ancestors",
}

_Catalogs = Annotated[
    list[Path],
    typer.Argument(
        metavar="CATALOG...",
        help="The catalogue's folder. Of several each is served at /NAME/, the name of its folder.",
    ),
]
_ByName = Annotated[
    bool, typer.Option("--by-name", help="Serve a single catalogue at /NAME/, too.")
]
_List = Annotated[
    bool, typer.Option("--list-shops", help="List several catalogues at /; nothing is there else.")
]
_Host = Annotated[
    str, typer.Option(help="Address to listen at; any but a loopback address needs an API key.")
]
_Port = Annotated[int, typer.Option(help="The port; 0 takes a free one.")]
_Workers = Annotated[int, typer.Option(help="Number of processes; one of them is the writer.")]
_Threads = Annotated[
    int | None,
    typer.Option(help="Photos encoded at a time by each process; its share of the cores."),
]
_Name = Annotated[
    list[str] | None, typer.Option(help="A further host name of the service. May be repeated.")
]
_Cors = Annotated[
    list[str] | None,
    typer.Option(
        help="The origin of another site whose pages may call it: https://shop.example. "
        "May be repeated; none by default."
    ),
]
_Public = Annotated[
    bool,
    typer.Option(
        "--public",
        help="Anybody may search without a key; changes, the list of all products, metrics and "
        "the admin page need one.",
    ),
]
_Proxy = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ADDRESS",
        help="Address or network of a proxy whose X-Forwarded-For and -Proto are believed: "
        "127.0.0.1, 10.0.0.0/8. May be repeated; none by default.",
    ),
]
_Root = Annotated[
    str, typer.Option(help="The sub-path at which a proxy shows the service: /finder.")
]
_Embed = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ORIGIN",
        help="The origin of a site that may embed the page in a frame: https://shop.example. "
        "May be repeated; none by default.",
    ),
]
_PublicRate = Annotated[
    float, typer.Option(help="With --public: average requests a second of each client's address.")
]
_Rate = Annotated[float, typer.Option(help="Average requests a second of each key.")]
_Queue = Annotated[int, typer.Option(help="Largest number of requests in progress or waiting.")]
_Timeout = Annotated[float, typer.Option(help="Largest time of an answer in seconds.")]
_MaxBody = Annotated[int, typer.Option(help="Largest request in megabytes.")]
_MaxUpload = Annotated[int, typer.Option(help="Largest bulk or manifest upload in megabytes.")]
_MaxPixels = Annotated[int, typer.Option(help="Largest number of pixels of an image.")]
_Memory = Annotated[
    int | None,
    typer.Option(
        help="Memory for the bodies and images of all requests in megabytes, shared by the "
        "workers; 1536 for each by default. Models, index and Python need some hundred more."
    ),
]
_KeepPhotos = Annotated[
    int,
    typer.Option(
        "--keep-photos",
        metavar="DAYS",
        min=0,
        help="Store the searched part of photos for so many days, for training from feedback. The "
        "page says so, and keeps none without consent.",
    ),
]
_SettingsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Title, logo, colours, language and samples of the page; CATALOG/hemline.toml by "
        "default, if it is there. Options given here win.",
    ),
]
_Judging = Annotated[
    bool | None, typer.Option("--judging/--no-judging", help="Whether the page asks what is right.")
]
_PhotoLinks = Annotated[
    bool | None,
    typer.Option(
        "--photo-links/--no-photo-links",
        help="Let shoppers share a photo by a link: a small copy of its searched part is kept for "
        "a day.",
    ),
]
_Samples = Annotated[
    Path | None, typer.Option(help="A folder of sample photos; the page's own by default.")
]


def serve(
    catalog: _Catalogs,
    host: _Host = "127.0.0.1",
    port: _Port = 8000,
    workers: _Workers = 1,
    threads: _Threads = None,
    name: _Name = None,
    cors: _Cors = None,
    public: _Public = False,
    trusted_proxy: _Proxy = None,
    root_path: _Root = "",
    frame_ancestors: _Embed = None,
    rate: _Rate = 100.0,
    public_rate: _PublicRate = 10.0,
    queue: _Queue = 64,
    timeout: _Timeout = 30.0,
    max_body: _MaxBody = 20,
    max_upload: _MaxUpload = 2048,
    max_pixels: _MaxPixels = MAX_SENT_PIXELS,
    memory: _Memory = None,
    keep_photos: _KeepPhotos = 0,
    samples: _Samples = None,
    judging: _Judging = None,
    photo_links: _PhotoLinks = None,
    settings: _SettingsFile = None,
    database: DatabaseOption = "",
    by_name: _ByName = False,
    list_shops: _List = False,
) -> None:
    """Serve a catalogue, or several: the HTTP API under /v1 and the search page at /.

    Runs until it is interrupted; logs are JSON lines on standard error.

    Example: hemline serve shop --port 8000

    Example: hemline serve shop --host 0.0.0.0 --workers 2 --name search.shop.example

    Example: hemline serve shops/* --public --name find.example --list-shops

    Example: hemline serve shop --public --name shop.example --trusted-proxy 127.0.0.1
    """
    given = dict(locals())
    from hemline.service.run import serve as run

    if database:  # for the writers of catalogues, also in worker processes
        os.environ[DATABASE] = database

    served = ", ".join(str(folder) for folder in catalog)
    run(_settings(given), lambda url: say(f"{served} is served at {url}"), natives_hushed)


def _settings(given: dict[str, Any]) -> Settings:
    """The options as settings."""
    from hemline.service.settings import Settings

    folders = tuple(given["catalog"])
    several = given.pop("by_name") or len(folders) > 1
    given |= {"catalog": folders[0], "shops": folders if several else ()}
    for option, setting in _LISTS.items():
        given[setting] = tuple(given.pop(option) or ())
    for name in ("max_body", "max_upload", "memory"):
        given[name] = (given[name] or 0) * _MEGA
    given["settings_file"] = given.pop("settings")
    made = Settings(**given)
    each = made.each  # read here, as what is wrong ends the command
    return made if made.shops else each[0]


COMMANDS = {"serve": serve}
