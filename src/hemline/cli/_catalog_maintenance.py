"""``hemline catalog check, compact, backup, rebuild, export``: the maintenance of a catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._catalog_options import LISTED, Engine, Folder, Pictures, Threads, addressed
from hemline.cli._common import JsonOption, emit, natives_hushed, out, progress, say
from hemline.errors import UsageError


def check(
    catalog: Folder,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Repair what can be derived: the index, columns, stray files, and lost vectors "
            "from the copies of images. Accept the loss of commits that are missing, give rows "
            "of an earlier version their checksums, and remove those whose id nothing can name.",
        ),
    ] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Also read every copy of an image.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Verify a catalogue's checksums and that all its parts agree.

    Exits with 1 if a problem is left.

    Example: hemline catalog check shop --repair
    """
    from hemline.catalog.catalog import Catalog

    with (
        Catalog.open(catalog, damaged=True) as opened,
        natives_hushed(),
        progress("catalog check") as advance,
    ):
        health = opened.check(repair=repair, deep=deep, advance=advance)
    result = {
        "catalog": str(catalog),
        "ok": health.ok,
        "pictures": health.images,
        "problems": [asdict(problem) for problem in health.problems],
        "embedded": health.embedded,
        "lost": health.lost,
        "strays": health.strays,
        "swept": repair,
        "without_checksum": health.unsummed,
    }
    emit(result, as_json, _tell_check)
    if not health.ok:
        raise typer.Exit(1)


def _tell_check(result: Mapping[str, Any]) -> None:
    for problem in result["problems"][: 5 * LISTED]:
        repaired = " (repaired)" if problem["repaired"] else ""
        out(f"{problem['part']} {problem['path']}: {problem['found']}{repaired}")
    if len(result["problems"]) > 5 * LISTED:
        out(f"and {len(result['problems']) - 5 * LISTED} more; --json lists them all")
    if result["embedded"]:
        out(f"{result['embedded']} lost vectors embedded again from the copies of images")
    if result["strays"]:
        what = "deleted" if result["swept"] else "the next writer deletes them"
        out(f"{result['strays']} copies of images that no item refers to: {what}")
    if result["lost"]:
        shown = ", ".join(result["lost"][:LISTED])
        out(f"{len(result['lost'])} images have lost their vectors: {shown}")
    if result["without_checksum"]:
        out(f"{result['without_checksum']} rows have no checksum yet; --repair gives them one")
    if result["ok"]:
        out(f"{result['catalog']} is intact: {result['pictures']} images checked")
    else:
        out(
            "there are problems: --repair repairs what can be derived; add the rest again, or "
            "restore a backup"
        )


def compact(catalog: Folder, as_json: JsonOption = False) -> None:
    """Free the space of removed items and stray files while searches go on.

    Example: hemline catalog compact shop
    """
    from hemline.catalog.catalog import Catalog

    with Catalog.open(catalog) as opened, progress("catalog compact") as advance:
        done = opened.compact(advance=advance)
    emit(
        {"catalog": str(catalog), **done},
        as_json,
        lambda r: out(
            f"{r['bytes_freed'] / 1e6:.1f} MB freed in the store, {r['moved']} vectors moved, "
            f"{r['copies_swept']} stray files deleted"
        ),
    )


def backup(
    catalog: Folder,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="A new folder for the copy.")],
    damaged: Annotated[
        bool, typer.Option("--damaged", help="Copy a damaged catalogue, too, as it is.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy a catalogue in a consistent state, while it is searched and written to.

    The copy is a catalogue like any other and appears complete or not at all. Run the same command
    again after a kill. A damaged catalogue is refused.

    Example: hemline catalog backup shop /backups/shop-monday
    """
    from hemline.catalog.catalog import Catalog
    from hemline.catalog.maintenance.backup import note

    with Catalog.open(catalog, damaged=damaged) as opened, progress("catalog backup") as advance:
        done = opened.backup(target, damaged=damaged, advance=advance)
    note(catalog, target)
    emit(
        {"catalog": str(catalog), "target": str(target), **done},
        as_json,
        lambda r: out(
            f"{r['target']} is a copy with {r['pictures']} images, {r['bytes'] / 1e6:.1f} MB"
        ),
    )


def copy(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="The catalogue's folder.")],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TO",
            help="A new folder or address (as for 'catalog create'), or the copy to go on with.",
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Option(help="For a new store on Milvus: its folder; NAME by default."),
    ] = None,
    pictures: Pictures = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a catalogue to another kind of store, or to another place, and verify the copy.

    Rows, vectors and copies of images are copied as they are; rows that TO has and FROM hasn't are
    removed. Run the same command again after a kill, or to bring the copy up to date.

    Example: hemline catalog copy shop milvus://localhost:19530/shop --folder shop-milvus
    """
    from hemline.catalog.catalog import Catalog

    address, place = addressed(target, folder)
    with (
        Catalog.open(source) as opened,
        natives_hushed(),
        progress("catalog copy") as advance,
        Catalog.open(place)
        if place.is_dir() and any(place.iterdir())
        else Catalog.create(place, opened.bundle, address=address, pictures=pictures) as made,
    ):
        report = opened.copy_to(made, advance=advance)
        result = {"catalog": str(source), "copy": str(place), **asdict(report)}
    emit(
        result,
        as_json,
        lambda r: out(
            f"{r['copied']} images copied, {r['there']} were there, {r['removed']} removed; "
            f"{r['copy']} has the {r['images']} images of {r['catalog']}, checksum "
            f"{r['checksum'][:12]}"
        ),
    )


def rebuild(
    catalog: Folder,
    bundle: Annotated[
        str | None,
        typer.Option(help="The new bundle: a folder, or the name of a shipped one; required."),
    ] = None,
    abandon: Annotated[
        bool, typer.Option("--abandon", help="Delete an interrupted rebuild.")
    ] = False,
    drop_lost: Annotated[
        bool, typer.Option("--drop-lost", help="Drop images whose copy can't be opened.")
    ] = False,
    batch: Annotated[int, typer.Option(help="Images in one durable commit.")] = 64,
    threads: Threads = None,
    engine: Engine = "here",
    as_json: JsonOption = False,
) -> None:
    """Embed every image with another bundle, beside the live catalogue, then swap in one step.

    Searches, adds and syncs go on meanwhile, and their changes are applied to the new one. Running
    searches switch to it by themselves. Run the same command again after a kill.

    Example: hemline catalog rebuild shop --bundle better-bundle
    """
    from hemline.catalog.catalog import Catalog
    from hemline.runtime.bundle import Bundle

    if abandon == (bundle is not None):
        raise UsageError("name the new bundle with --bundle, or --abandon an interrupted rebuild")
    if batch < 1:
        raise UsageError(f"--batch is at least 1, not {batch}")
    with Catalog.open(catalog) as opened, natives_hushed(), progress("catalog rebuild") as advance:
        if bundle is None:
            dropped = opened.abandon_rebuild()
            emit(
                {"catalog": str(catalog), "abandoned": dropped},
                as_json,
                lambda r: out(f"{r['abandoned']} interrupted rebuilds deleted"),
            )
            return
        report = opened.rebuild(
            Bundle.open(bundle),
            batch=batch,
            threads=threads,
            drop_lost=drop_lost,
            engine=engine,
            advance=advance,
        )
    emit({"catalog": str(catalog), **asdict(report)}, as_json, _tell_rebuild)


def _tell_rebuild(result: Mapping[str, Any]) -> None:
    if not result["swapped"]:
        out(f"{result['catalog']} was made with this bundle already; nothing to do")
        return
    out(
        f"{result['embedded']} images embedded, {result['there']} by an earlier run; the "
        f"catalogue is live with the bundle {result['fingerprint'][:12]}"
    )
    for image_id in result["lost"][:LISTED]:
        say(f"left out, as its copy can't be opened: {image_id}")


def export(
    catalog: Folder,
    target: Annotated[Path, typer.Option("-o", "--out", help="The .parquet file to write.")],
    vectors: Annotated[
        bool, typer.Option("--vectors", help="With the columns embedding and norm.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a catalogue as a manifest in Parquet, with the paths of the copies of images.

    Example: hemline catalog export shop -o products.parquet --vectors
    """
    from hemline.catalog.catalog import Catalog

    with Catalog.open(catalog) as opened, progress("catalog export") as advance:
        done = opened.export(target, vectors=vectors, advance=advance)
    emit(
        {"catalog": str(catalog), "file": str(target), **done},
        as_json,
        lambda r: out(f"{r['file']} has {r['pictures']} images of {r['items']} items"),
    )
