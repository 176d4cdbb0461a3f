"""``hemline catalog``: create, fill, change and inspect a catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._catalog_maintenance import backup, check, compact, copy, export, rebuild
from hemline.cli._catalog_options import (
    LISTED,
    Batch,
    Crop,
    Engine,
    Folder,
    Items,
    Pictures,
    SkippedFile,
    Threads,
    addressed,
    say_listed,
    say_names,
    write_skipped,
)
from hemline.cli._catalog_sync import sync
from hemline.cli._common import JsonOption, emit, natives_hushed, out, progress, say
from hemline.cli._remote_options import AllowHost, AllowNetwork, RemoteFile, fetching

app = typer.Typer(
    help="Create, fill, update and maintain a catalogue of items.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def create(
    catalog: Annotated[
        str,
        typer.Argument(
            metavar="CATALOG",
            help="The catalogue's folder, or milvus://HOST:PORT/NAME for a store on a Milvus "
            "server, or milvus-lite:PATH.db.",
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            help="For a store on Milvus: the folder of its bundle and copies of images, which "
            "other commands are given; NAME by default."
        ),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option(help="A bundle's folder or a shipped one's name; the shipped one by default."),
    ] = None,
    pictures: Pictures = None,
    as_json: JsonOption = False,
) -> None:
    """Create an empty catalogue; the bundle is copied into it.

    Example: hemline catalog create shop --bundle my-bundle
    """
    from hemline.catalog.catalog import Catalog
    from hemline.runtime.bundle import Bundle

    address, place = addressed(catalog, folder)
    source = Bundle.open(bundle) if bundle else Bundle.default()
    with Catalog.create(place, source, address=address, pictures=pictures) as made:
        emit(
            made.stats(),
            as_json,
            lambda r: out(
                f"{r['catalog']} is ready, with the model {r['model']}. "
                f"Next: hemline catalog add {r['catalog']} MANIFEST"
            ),
        )


@app.command()
def add(
    catalog: Folder,
    manifest: Annotated[Path, typer.Argument(help="A manifest: .csv, .parquet or its folder.")],
    crop: Crop = None,
    batch: Batch = 64,
    threads: Threads = None,
    engine: Engine = "here",
    skipped: SkippedFile = None,
    allow_host: AllowHost = None,
    allow_network: AllowNetwork = None,
    settings: RemoteFile = None,
    as_json: JsonOption = False,
) -> None:
    """Embed the shop rows (or those of role 'gallery') of a manifest and store them.

    Rows that are stored already are passed over: run the same command again after a kill or a
    change.

    Example: hemline catalog add shop products.csv

    Example: hemline catalog add shop products.csv --allow-host cdn.shop.example

    Example: hemline catalog add shop products.parquet --engine ray
    """
    from hemline.catalog.catalog import Catalog
    from hemline.data.manifest import Manifest
    from hemline.errors import CatalogError

    remote = fetching(settings, catalog, allow_host, allow_network)
    with Catalog.open(catalog) as opened, natives_hushed(), progress("catalog add") as advance:
        opened.encoder(threads)
        table = Manifest.read(manifest)
        with remote as fetcher:
            report = opened.add(
                table, crop=crop, batch=batch, remote=fetcher, engine=engine, advance=advance
            )
        counts = opened.store.counts()
    write_skipped(skipped, report.skipped)
    if report.skipped and not (report.embedded + report.updated + report.unchanged):
        first = report.skipped[0]
        raise CatalogError(
            f"none of the {len(report.skipped)} images can be added; the first, {first.path}: "
            f"{first.reason}"
        )
    result = {
        "catalog": str(catalog),
        "added": report.added,
        "embedded_again": report.embedded_again,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "skipped": [one._asdict() for one in report.skipped],
        "unknown_tags": report.unknown_tags,
        "whole": report.whole,
        **counts.to_json(),
    }
    emit(result, as_json, _print_added)


def _print_added(result: Mapping[str, Any]) -> None:
    out(
        f"{result['added']} images added, {result['embedded_again']} embedded again, "
        f"{result['updated']} updated, {result['unchanged']} stored already, "
        f"{len(result['skipped'])} skipped; the catalogue has {result['pictures']} images of "
        f"{result['items']} items"
    )
    if result["whole"]:
        say(f"{result['whole']} images are embedded whole: no garment of their category is found")
    say_listed("skipped", result["skipped"], "image_id", "; --skipped FILE lists them all")
    often = result["unknown_tags"]
    names = sorted(often, key=lambda tag: (-often[tag], tag))
    say_names("tags are unknown to the bundle and ignored", names)


@app.command()
def remove(
    catalog: Folder,
    items: Items,
    as_json: JsonOption = False,
) -> None:
    """Remove items with all their images.

    Example: hemline catalog remove shop sku-1 sku-2
    """
    from hemline.catalog.catalog import Catalog
    from hemline.errors import CatalogError

    with Catalog.open(catalog) as opened:
        removed = opened.remove(items)
        counts = opened.store.counts()
    unknown = [item for item in items if item not in removed]
    if unknown and not removed:
        raise CatalogError(f"{catalog} has none of these items: {', '.join(unknown[:LISTED])}")
    for item in unknown:
        say(f"{item} isn't in the catalogue")
    result = {
        "catalog": str(catalog),
        "removed_items": len(removed),
        "removed_pictures": sum(removed.values()),
        "unknown": unknown,
        **counts.to_json(),
    }
    emit(
        result,
        as_json,
        lambda r: out(
            f"removed {r['removed_items']} items with {r['removed_pictures']} images; "
            f"{r['items']} items are left"
        ),
    )


@app.command()
def stats(catalog: Folder, as_json: JsonOption = False) -> None:
    """Print the size of a catalogue and what made its vectors.

    Example: hemline catalog stats shop --json
    """
    from hemline.catalog.catalog import Catalog

    with Catalog.open(catalog) as opened:
        emit(opened.stats(), as_json, _print_stats)


def _print_stats(result: Mapping[str, Any]) -> None:
    for name, value in result.items():
        text = ", ".join(value) if isinstance(value, list) else value
        out(f"{name.replace('_', ' '):24} {text}")


@app.command()
def show(
    catalog: Folder,
    items: Items,
    as_json: JsonOption = False,
) -> None:
    """Print what is stored of some items: columns and the copy of each image.

    Example: hemline catalog show shop sku-1
    """
    from hemline.catalog.catalog import Catalog
    from hemline.errors import CatalogError

    with Catalog.open(catalog) as opened:
        rows = [
            {
                "item_id": row.item_id,
                "image_id": row.image_id,
                **row.shown(),
                "picture": str(opened.image_path(row) or ""),
            }
            for row in opened.store.items(items)
        ]
    if not rows:
        raise CatalogError(f"{catalog} has none of these items: {', '.join(items[:LISTED])}")
    emit({"catalog": str(catalog), "rows": rows}, as_json, _print_rows)


def _print_rows(result: Mapping[str, Any]) -> None:
    for row in result["rows"]:
        out(f"{row['item_id']}  {row['image_id']}")
        for name, value in row.items():
            if name not in ("item_id", "image_id") and value not in ("", [], None):
                out(f"  {name}: {'; '.join(value) if name == 'tags' else value}")


for _command in (sync, check, compact, backup, copy, rebuild, export):
    app.command()(_command)

COMMANDS = {"catalog": app}
