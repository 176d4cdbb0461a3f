"""``hemline serve``: a catalogue behind HTTP, with the search page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hemline.cli._common import natives_hushed, say

_MEGA = 1 << 20


def serve(
    catalog: Annotated[Path, typer.Argument(metavar="CATALOG", help="The catalogue's folder.")],
    host: Annotated[
        str,
        typer.Option(help="Where to listen; any but this machine's own address needs an API key."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes; one of them is the writer.")] = 1,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the street tower; all cores but one by default.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="A further host name under which it is called. May be repeated."),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(
            help="The origin of another site whose pages may call it: https://shop.example. "
            "May be repeated; none by default."
        ),
    ] = None,
    rate: Annotated[float, typer.Option(help="Requests a second for each key.")] = 100.0,
    queue: Annotated[int, typer.Option(help="Requests that are at work or wait at most.")] = 64,
    timeout: Annotated[float, typer.Option(help="Seconds that an answer may take.")] = 30.0,
    max_body: Annotated[int, typer.Option(help="Megabytes of a request.")] = 20,
    max_upload: Annotated[int, typer.Option(help="Megabytes of a bulk or manifest upload.")] = 2048,
    max_pixels: Annotated[int, typer.Option(help="Pixels of a picture.")] = 50_000_000,
    keep_photos: Annotated[
        bool,
        typer.Option(
            "--keep-photos", help="Keep what was searched with, so that feedback can train a model."
        ),
    ] = False,
    samples: Annotated[
        Path | None,
        typer.Option(help="A folder of photos to start with; the page's own by default."),
    ] = None,
) -> None:
    """Serve a catalogue: the HTTP API under /v1 and the search page at /.

    It runs until it is interrupted, and finishes what was begun. Logs are JSON lines on standard
    error.

    Example: hemline serve shop --port 8000
    Example: hemline serve shop --host 0.0.0.0 --workers 2 --name search.shop.example
    """
    from hemline.service.run import serve as run
    from hemline.service.settings import Settings

    settings = Settings(
        catalog=catalog,
        host=host,
        port=port,
        names=tuple(name or ()),
        cors=tuple(cors or ()),
        workers=workers,
        threads=threads,
        max_body=max_body * _MEGA,
        max_upload=max_upload * _MEGA,
        max_pixels=max_pixels,
        queue=queue,
        timeout=timeout,
        rate=rate,
        keep_photos=keep_photos,
        samples=samples,
    )
    run(settings, lambda url: say(f"{catalog} is served at {url}"), natives_hushed)


COMMANDS = {"serve": serve}
