"""``hemline catalog sync``: makes a catalogue equal to a shop's product feed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._catalog_options import (
    Batch,
    Crop,
    Folder,
    SkippedFile,
    Threads,
    say_listed,
    say_names,
    write_skipped,
)
from hemline.cli._common import JsonOption, emit, err, natives_hushed, out, progress, say
from hemline.cli._remote_options import AllowHost, AllowNetwork, RemoteFile, fetching

if TYPE_CHECKING:
    from hemline.catalog.intake.feed_map import FeedMapping
    from hemline.catalog.intake.options import Removals, SyncOptions
    from hemline.catalog.intake.sync import SyncReport
    from hemline.catalog.store import Counts

_Feed = Annotated[
    Path,
    typer.Argument(
        metavar="FEED",
        help="The shop's whole product feed: .csv, .tsv, .txt, .jsonl, .json, .xml (each also .gz) "
        "or .parquet.",
    ),
]
_Columns = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME=COLUMN...]",
        help="Mapping of columns that aren't recognised by name: id, group, images, category, "
        "tags, without, or a new name. Remembered.",
    ),
]
_Map = Annotated[
    Path | None,
    typer.Option("--map", help="The same as JSON: {name: column or columns}."),
]
_Images = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the images; the feed's own by default. Addresses (https://...) are "
        "looked up in it by their file names, and else fetched if --allow-host allows it. "
        "Remembered."
    ),
]
_AllowRemovals = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Largest share of the items that may be removed without asking; 0.2 by default.",
    ),
]
_Yes = Annotated[
    bool, typer.Option("--yes", help="Let any number of items be removed, without asking.")
]
_MaxBad = Annotated[
    float, typer.Option(metavar="SHARE", help="Stop if more of the feed's rows are unusable.")
]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Change nothing; print what would be done.")
]
_Reread = Annotated[
    bool,
    typer.Option(
        "--reread",
        help="Read every image's file, also those of unchanged size and modification time.",
    ),
]


def sync(
    catalog: Folder,
    feed: _Feed,
    columns: _Columns = None,
    mapping: _Map = None,
    images: _Images = None,
    allow_removals: _AllowRemovals = None,
    yes: _Yes = False,
    max_bad: _MaxBad = 0.05,
    dry_run: _DryRun = False,
    reread: _Reread = False,
    crop: Crop = None,
    batch: Batch = 64,
    threads: Threads = None,
    skipped: SkippedFile = None,
    allow_host: AllowHost = None,
    allow_network: AllowNetwork = None,
    settings: RemoteFile = None,
    as_json: JsonOption = False,
) -> None:
    """Make a catalogue equal to a shop's whole product feed.

    New and changed items are stored, of which only new and changed images are embedded; items
    that the feed doesn't have are removed. Removing more than a fifth of the items needs a
    confirmation. An interrupted sync resumes; running it again does nothing.

    Example: hemline catalog sync shop feed.csv --images pictures

    Example: hemline catalog sync shop artikel.csv id=Artikel images=Foto price=Preis

    Example: hemline catalog sync shop feed.xml --allow-host cdn.shop.example
    """
    from hemline.catalog.intake.options import SyncOptions
    from hemline.errors import UsageError

    if yes and allow_removals is not None:
        raise UsageError("--yes and --allow-removals contradict each other; give one of them")
    options = SyncOptions(
        crop=crop,
        batch=batch,
        mapping=_mapping(columns or [], mapping),
        images=images,
        max_bad=max_bad,
        dry_run=dry_run,
        reread=reread,
    )
    share = 1.0 if yes else allow_removals
    with fetching(settings, catalog, allow_host, allow_network) as fetcher:
        options = replace(options, remote=fetcher)
        report, counts = _sync(catalog, feed, options, share, threads)
    write_skipped(skipped, report.images.skipped)
    result = {"catalog": str(catalog), **_plain(report), **counts.to_json()}
    emit(result, as_json, _print_synced)


def _sync(
    catalog: Path, feed: Path, options: SyncOptions, share: float | None, threads: int | None
) -> tuple[SyncReport, Counts]:
    """Runs it; without ``share`` the user confirms many removals."""
    from hemline.catalog.catalog import Catalog
    from hemline.catalog.intake.options import ALLOWED_REMOVALS
    from hemline.errors import CatalogError

    asked: list[Removals] = []

    def few(removals: Removals) -> bool:
        if removals.share > ALLOWED_REMOVALS:
            asked.append(removals)
        return not asked

    def run(allow: float | Callable[[Removals], bool]) -> tuple[SyncReport, Counts]:
        with Catalog.open(catalog) as opened, natives_hushed(), progress("catalog sync") as advance:
            opened.encoder(threads)
            own = replace(options, allow_removals=allow)
            return opened.sync(feed, own, advance=advance), opened.store.counts()

    try:
        return run(few if share is None else share)
    except CatalogError:
        # Asked here, where no progress bar writes over the question.
        if not (asked and _confirmed(asked[0])):
            raise
        return run(1.0)


def _confirmed(removals: Removals) -> bool:
    """Asks a person at a terminal; elsewhere the answer is no."""
    if not (sys.stdin.isatty() and err.is_terminal):
        return False
    question = f"The feed lacks {removals.removed} of {removals.of} items. Remove them?"
    return typer.confirm(question, err=True)


def _mapping(columns: Sequence[str], file: Path | None) -> FeedMapping:
    """The mapping given on the command line."""
    from hemline.catalog.intake.feed_map import FeedMapping, parse_pairs, read_mapping

    mapping = FeedMapping() if file is None else read_mapping(file)
    return mapping.changed(parse_pairs(columns))


def _plain(report: SyncReport) -> dict[str, Any]:
    """The report as JSON, whose keys are older than the report's names."""
    images = report.images
    return {
        "dry_run": report.dry_run,
        "products": report.items,
        "new": report.new,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "gone": report.removed_items,
        "removal_share": report.removal_share,
        "embedded": images.embedded,
        "reused": images.duplicates,
        "columns_only": images.columns,
        "removed_pictures": images.removed,
        "kept_old": images.kept,
        "found_by_name": report.by_name,
        "skipped": [one._asdict() for one in images.skipped],
        "without_picture": report.without_image,
        "bad_rows": [one._asdict() for one in report.bad],
        "duplicates": report.duplicates,
        "unread_prices": report.unread_prices,
        "unknown_tags": images.unknown_tags,
    }


def _print_synced(result: Mapping[str, Any]) -> None:
    would = "would be " if result["dry_run"] else ""
    out(
        f"{result['products']} items in the feed: {result['new']} {would}new, "
        f"{result['changed']} {would}changed, {result['unchanged']} unchanged; "
        f"{result['gone']} {would}removed"
    )
    out(
        f"images: {result['embedded']} {would}embedded, {result['reused']} known under another "
        f"name, {result['columns_only']} with new columns only, {result['removed_pictures']} "
        f"{would}removed"
    )
    if not result["dry_run"]:
        out(f"the catalogue has {result['pictures']} images of {result['items']} items")
    if result["found_by_name"]:
        say(f"{result['found_by_name']} images were found by the file name of their address")
    say_listed("skipped:", result["skipped"], "image_id")
    say_listed("row not used:", result["bad_rows"], "line")
    if result["kept_old"]:
        say(f"{result['kept_old']} old images stay, as their items have no new one yet")
    say_names("items without an image that can be opened", result["without_picture"])
    say_names("ids that came more than once (the last row counts)", result["duplicates"])
    say_names("tags unknown to the bundle, and ignored", list(result["unknown_tags"]))
    for name, count in result["unread_prices"].items():
        say(f"{count} cells of {name} are no price, and are left out")
