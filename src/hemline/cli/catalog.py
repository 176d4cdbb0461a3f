"""``hemline catalog``: create, fill, empty, look into and care for a catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._catalog_maintenance import backup, check, compact, export, rebuild
from hemline.cli._catalog_options import write_skipped
from hemline.cli._catalog_sync import sync
from hemline.cli._common import JsonOption, emit, natives_hushed, out, progress, say

_Folder = Annotated[Path, typer.Argument(metavar="CATALOG", help="The catalogue's folder.")]
_SHOWN = 10  # skipped pictures told to a person

app = typer.Typer(
    help="Create, fill, keep up and care for a catalogue of products.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def create(
    catalog: _Folder,
    bundle: Annotated[
        str | None,
        typer.Option(help="A bundle's folder or a shipped one's name; the shipped one by default."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an empty catalogue; the bundle is copied into it.

    Example: hemline catalog create shop --bundle my-bundle
    """
    from hemline.catalog.catalog import Catalog
    from hemline.runtime.bundle import Bundle

    source = Bundle.open(bundle) if bundle else Bundle.default()
    with Catalog.create(catalog, source) as made:
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
    catalog: _Folder,
    manifest: Annotated[Path, typer.Argument(help="A manifest: .csv, .parquet or its folder.")],
    crop: Annotated[
        str,
        typer.Option(
            help="'none' embeds whole pictures, as the photos of shops are seen; 'box' embeds what "
            "is inside each row's x1,y1,x2,y2, where it has one; 'detect' the garment of each "
            "row's category, where one is found."
        ),
    ] = "none",
    batch: Annotated[int, typer.Option(help="Pictures to one durable commit.")] = 64,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the shop tower; all cores by default.")
    ] = None,
    skipped: Annotated[
        Path | None, typer.Option(help="Write the list of skipped pictures there, as CSV.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Embed the shop rows (or those of role 'gallery') of a manifest and store them.

    What is there already is passed over: run the same command again after a kill or a change.

    Example: hemline catalog add shop products.csv
    """
    from hemline.catalog.catalog import Catalog
    from hemline.data.manifest import Manifest
    from hemline.errors import CatalogError

    with Catalog.open(catalog) as opened, natives_hushed(), progress("catalog add") as advance:
        opened.encoder(threads)
        report = opened.add(Manifest.read(manifest), crop=crop, batch=batch, advance=advance)
        counts = opened.store.counts()
    if skipped is not None:
        write_skipped(skipped, report.skipped)
    if report.skipped and not (report.stored + report.unchanged):
        first = report.skipped[0]
        raise CatalogError(
            f"none of the {len(report.skipped)} pictures can be added; the first, {first.path}: "
            f"{first.reason}"
        )
    emit(
        {
            "catalog": str(catalog),
            "added": report.added,
            "embedded_again": report.embedded_again,
            "updated": report.updated,
            "unchanged": report.unchanged,
            "skipped": [one._asdict() for one in report.skipped],
            "unknown_tags": report.unknown_tags,
            "whole": report.whole,
            "items": counts.items,
            "pictures": counts.pictures,
        },
        as_json,
        _tell_added,
    )


def _tell_added(result: Mapping[str, Any]) -> None:
    out(
        f"{result['added']} pictures added, {result['embedded_again']} embedded again, "
        f"{result['updated']} updated, {result['unchanged']} there already, "
        f"{len(result['skipped'])} skipped; the catalogue has {result['pictures']} pictures of "
        f"{result['items']} products"
    )
    if result["whole"]:
        say(f"{result['whole']} pictures are embedded whole: no garment of their category is found")
    for one in result["skipped"][:_SHOWN]:
        say(f"skipped {one['image_id']}: {one['reason']}")
    if len(result["skipped"]) > _SHOWN:
        say(f"and {len(result['skipped']) - _SHOWN} more; --skipped FILE lists them all")
    if result["unknown_tags"]:
        names = sorted(result["unknown_tags"], key=lambda t: (-result["unknown_tags"][t], t))
        say(f"{len(names)} tags are unknown to the bundle and ignored: {', '.join(names[:5])}")


@app.command()
def remove(
    catalog: _Folder,
    items: Annotated[list[str], typer.Argument(metavar="ITEM...", help="item_id of products.")],
    as_json: JsonOption = False,
) -> None:
    """Remove products with all their pictures.

    Example: hemline catalog remove shop sku-1 sku-2
    """
    from hemline.catalog.catalog import Catalog
    from hemline.errors import CatalogError

    with Catalog.open(catalog) as opened:
        removed = opened.remove(items)
        counts = opened.store.counts()
    unknown = [item for item in items if item not in removed]
    if unknown and not removed:
        raise CatalogError(f"{catalog} has none of these products: {', '.join(unknown[:_SHOWN])}")
    for item in unknown:
        say(f"{item} isn't in the catalogue")
    emit(
        {
            "catalog": str(catalog),
            "removed_items": len(removed),
            "removed_pictures": sum(removed.values()),
            "unknown": unknown,
            "items": counts.items,
            "pictures": counts.pictures,
        },
        as_json,
        lambda r: out(
            f"removed {r['removed_items']} products with {r['removed_pictures']} pictures; "
            f"{r['items']} products are left"
        ),
    )


@app.command()
def stats(catalog: _Folder, as_json: JsonOption = False) -> None:
    """What a catalogue holds and what made its vectors.

    Example: hemline catalog stats shop --json
    """
    from hemline.catalog.catalog import Catalog

    with Catalog.open(catalog) as opened:
        emit(opened.stats(), as_json, _tell_stats)


def _tell_stats(result: Mapping[str, Any]) -> None:
    for name, value in result.items():
        text = ", ".join(value) if isinstance(value, list) else value
        out(f"{name.replace('_', ' '):24} {text}")


@app.command()
def show(
    catalog: _Folder,
    items: Annotated[list[str], typer.Argument(metavar="ITEM...", help="item_id of products.")],
    as_json: JsonOption = False,
) -> None:
    """What is stored of some products: columns and the copy of each picture.

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
                "picture": str(opened.picture(row) or ""),
            }
            for row in opened.store.items(items)
        ]
    if not rows:
        raise CatalogError(f"{catalog} has none of these products: {', '.join(items[:_SHOWN])}")
    emit({"catalog": str(catalog), "rows": rows}, as_json, _tell_rows)


def _tell_rows(result: Mapping[str, Any]) -> None:
    for row in result["rows"]:
        out(f"{row['item_id']}  {row['image_id']}")
        for name, value in row.items():
            if name not in ("item_id", "image_id") and value not in ("", [], None):
                out(f"  {name}: {'; '.join(value) if name == 'tags' else value}")


for _command in (sync, check, compact, backup, rebuild, export):
    app.command()(_command)

COMMANDS = {"catalog": app}
