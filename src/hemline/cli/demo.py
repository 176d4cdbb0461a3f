"""``hemline demo``: a shop of a thousand products, and photos that find them."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, natives_hushed, out, progress, say, stages
from hemline.errors import UsageError

if TYPE_CHECKING:
    from hemline.demo.shop import Shop

#: Libraries without which nothing is served.
_NEEDED = ("fastapi", "uvicorn", "httptools", "prometheus_client", "python_multipart")
_SAMPLES = 12
_PORT = 8000


def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Measure recall and latency instead; sets the status.")
    ] = False,
    bundle: Annotated[
        str | None, typer.Option(help="A bundle's folder or name; the shipped one by default.")
    ] = None,
    products: Annotated[int, typer.Option(min=2, help="Products in the shop.")] = 1024,
    photos: Annotated[int, typer.Option(min=1, help="Photos to show.")] = 12,
    queries: Annotated[int, typer.Option(min=1, help="Query photos of --check.")] = 256,
    floor: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Least recall@20, instead of the one that the bundle records."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for demo.html and demo.png.")
    ] = None,
    browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = True,
    serving: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Serve the shop at the end.")
    ] = True,
    port: Annotated[
        int | None,
        typer.Option(help="Port of the service; 0 takes a free one. Default: 8000 if it is free."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Record the recalls in --bundle as its floor.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Draw a shop, fill its catalogue, and search it with street photos; no download, no torch.

    The shop and its catalogue are kept in HEMLINE_HOME and made once; an interrupted run resumes.
    At a terminal it ends in serving the shop, as hemline serve does, until it is interrupted.
    Without a terminal, or with CI set, it runs --check and ends.

    Example: hemline demo --check --json
    """
    if record and (bundle is None or not Path(bundle).is_dir()):
        raise UsageError("--record writes into a bundle: name its folder with --bundle FOLDER")
    headless = check or record or bool(os.environ.get("CI")) or not sys.stdout.isatty()
    with _open(bundle, products) as shop:
        if headless:
            _check(shop, queries, floor, Path(str(bundle)) if record else None, json)
            return
        result = _show(shop, output, photos, json, serving)
        samples = [shop.manifest.file(int(row)) for row in shop.some_photos(_SAMPLES)]
        folder = shop.catalog.folder
    opening = browser and not json
    if serving and not json and _can_serve():
        assert folder is not None
        _serve(folder, samples, port, opening)
    elif opening:
        webbrowser.open(Path(result["page"]).resolve().as_uri())


@contextmanager
def _open(bundle: str | None, products: int) -> Iterator[Shop]:
    from hemline.demo.shop import open_shop
    from hemline.runtime.bundle import Bundle

    source = Bundle.open(bundle) if bundle else Bundle.default()
    with stages() as stage:
        shop = open_shop(source, products=products, stage=stage)
    with shop.catalog:
        yield shop


def _check(
    shop: Shop, queries: int, floor: float | None, record_in: Path | None, json: bool
) -> None:
    from hemline.demo import check as checks

    with progress("searching") as advance:
        result = checks.check(shop, queries=queries, floor=floor, advance=advance)
    if record_in is not None:
        checks.record(record_in, result)
        result["recorded"] = str(record_in)
    emit(result, json, _check_words)
    if not result["passed"] and record_in is None:
        raise typer.Exit(1)


def _show(
    shop: Shop, output: Path | None, photos: int, json: bool, serving: bool
) -> dict[str, Any]:
    from hemline.demo.show import show
    from hemline.files import home

    with progress("searching") as advance:
        result = show(shop, output or home() / "demo", photos=photos, advance=advance)
    emit(result, json, _show_words)
    if serving and not json:
        _likeness(shop)
    return result


def _likeness(shop: Shop) -> None:
    from hemline.demo.likeness import measure

    with progress("measuring what scores mean") as advance:
        why = measure(shop, advance=advance)
    if why:
        say(f"the page has no words of likeness: {why}")


def _can_serve() -> bool:
    lacking = [name for name in _NEEDED if find_spec(name) is None]
    if lacking:
        say("to serve the shop with a search page: pip install 'hemline[serve]'")
    return not lacking


def _serve(catalog: Path, photos: Sequence[Path], port: int | None, opening: bool) -> None:
    """Serves the shop until it is interrupted; without a port at 8000, or at a free one."""
    from hemline.files import write_durable
    from hemline.service.run import listen, serve
    from hemline.service.settings import Settings

    samples = catalog.parent / "samples"
    for number, photo in enumerate(photos):
        write_durable(samples / f"photo-{number:02d}{photo.suffix}", photo.read_bytes())

    def ready(url: str) -> None:
        say(f"the shop is served at {url} (end with Ctrl-C)")
        if opening:
            webbrowser.open(url)

    settings = Settings(catalog, port=_PORT if port is None else port, samples=samples)
    if port is None:
        try:
            listen(settings).close()
        except UsageError:  # another program's, such as a demo that is still served
            settings = replace(settings, port=0)
    serve(settings, ready, natives_hushed)


def _check_words(result: Mapping[str, Any]) -> None:
    out(
        f"{result['queries']} street photos, searched among {result['gallery_products']:,} "
        f"products that the model {result['model']} has never seen"
    )
    for name, (low, high) in result["intervals"].items():
        least = result["floor"].get(name)
        promise = f"   at least {least:.3f} is needed" if least is not None else ""
        out(f"{name:10} {result[name]:.3f}  (95 %: {low:.3f} – {high:.3f}){promise}")
    latency, seconds = result["latency_ms"], result["seconds"]
    out(f"latency    p50 {latency['p50']:.1f} ms, p95 {latency['p95']:.1f} ms for one photo")
    out("seconds    " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()))
    if "recorded" in result:
        out(f"recorded in {result['recorded']}")
    elif not result["floor"]:
        say(
            "hemline: the bundle has no recorded recall for a check of this size, so it doesn't "
            "pass; give --floor, or record this one with --record"
        )
    elif not result["passed"]:
        say("hemline: recall is below the floor")
    else:
        out("passed")


def _show_words(result: Mapping[str, Any]) -> None:
    out(
        f"{len(result['photos'])} photos against {result['gallery_products']:,} products: "
        f"the right one came first for {result['found_first']}, and among the first 20 for "
        f"{result['found_in_20']}"
    )
    out(f"page     {result['page']}")
    out(f"picture  {result['sheet']}")
    out(f"search it yourself: hemline search {result['catalog']} {result['photos'][0]['photo']}")


COMMANDS: Mapping[str, Callable[..., Any]] = {"demo": demo}
