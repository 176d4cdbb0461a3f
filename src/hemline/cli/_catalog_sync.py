"""``hemline catalog sync``: makes a catalogue equal to a shop's product feed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, err, natives_hushed, out, progress, say

if TYPE_CHECKING:
    from hemline.catalog.intake.feed_map import FeedMapping
    from hemline.catalog.intake.options import Removals
    from hemline.catalog.intake.sync import SyncReport
    from hemline.catalog.store import Counts

_SHOWN = 10


def sync(
    catalog: Annotated[Path, typer.Argument(metavar="CATALOG", help="The catalogue's folder.")],
    feed: Annotated[
        Path,
        typer.Argument(
            metavar="FEED",
            help="The shop's whole product feed: .csv, .tsv, .txt, .jsonl, .json (each also .gz) "
            "or .parquet.",
        ),
    ],
    columns: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=COLUMN...]",
            help="What columns mean, where their names don't say it: id, group, images, category, "
            "tags, without, or a new name. Remembered.",
        ),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("--map", help="The same as JSON: {name: column or columns}."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the pictures; the feed's own by default. Addresses (https://...) "
            "are looked up in it by their file names. Remembered."
        ),
    ] = None,
    allow_removals: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="How large a share of the products may leave without asking; 0.2 by default.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Let any number of products leave, without asking.")
    ] = False,
    max_bad: Annotated[
        float, typer.Option(metavar="SHARE", help="Stop if more of the feed's rows are unusable.")
    ] = 0.05,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what would be done.")
    ] = False,
    reread: Annotated[
        bool,
        typer.Option(
            "--reread", help="Read every picture, also where size and time of its file are known."
        ),
    ] = False,
    crop: Annotated[
        str | None,
        typer.Option(help="Which part of each picture is embedded, as for 'add'. Remembered."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Pictures to one durable commit, about.")] = 64,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the shop tower; all cores by default.")
    ] = None,
    skipped: Annotated[
        Path | None, typer.Option(help="Write the list of skipped pictures there, as CSV.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a catalogue equal to a shop's whole product feed.

    New and changed products come in, of which only new and changed pictures are embedded; products
    that the feed doesn't have leave. A feed that would take out more than a fifth stops and asks.
    Run the same command again after a kill, or as often as you like.

    Example: hemline catalog sync shop feed.csv --images pictures
    Example: hemline catalog sync shop artikel.csv id=Artikel images=Foto price=Preis
    """
    from hemline.catalog.catalog import Catalog
    from hemline.catalog.intake.options import SyncOptions
    from hemline.errors import CatalogError, UsageError

    if yes and allow_removals is not None:
        raise UsageError("--yes and --allow-removals contradict each other; give one of them")
    said = _said(columns or [], mapping, images)
    asked: list[Removals] = []

    def run(allow: float | Callable[[Removals], bool]) -> tuple[SyncReport, Counts]:
        with Catalog.open(catalog) as opened, natives_hushed(), progress("catalog sync") as advance:
            opened.encoder(threads)
            options = SyncOptions(
                crop=crop,
                batch=batch,
                mapping=said,
                allow_removals=allow,
                max_bad=max_bad,
                dry_run=dry_run,
                reread=reread,
            )
            report = opened.sync(feed, options, advance=advance)
            return report, opened.store.counts()

    try:
        share = 1.0 if yes else allow_removals
        report, counts = run(share if share is not None else partial(_unasked, asked))
    except CatalogError:
        # A person is asked here, where no bar of progress writes over the question.
        if not (asked and _confirmed(asked[0])):
            raise
        report, counts = run(1.0)
    if skipped is not None:
        from hemline.cli._catalog_options import write_skipped

        write_skipped(skipped, report.skipped)
    result = {
        "catalog": str(catalog),
        **_plain(report),
        "items": counts.items,
        "pictures": counts.pictures,
    }
    emit(result, as_json, _tell)


def _said(columns: Sequence[str], file: Path | None, images: Path | None) -> FeedMapping | None:
    """What the command line says about the feed, or None where it says nothing."""
    from hemline.catalog.intake.feed_map import FeedMapping, parse_pairs, read_mapping

    if not columns and file is None and images is None:
        return None
    said = FeedMapping() if file is None else read_mapping(file)
    said = said.changed(parse_pairs(columns))
    return said.changed(FeedMapping(images=str(images.resolve()) if images else ""))


def _unasked(asked: list[Removals], removals: Removals) -> bool:
    """Whether so few products leave that nobody is asked; notes what somebody is asked about."""
    from hemline.catalog.intake.options import ALLOWED_REMOVALS

    if removals.share > ALLOWED_REMOVALS:
        asked.append(removals)
    return removals.share <= ALLOWED_REMOVALS


def _confirmed(removals: Removals) -> bool:
    """What a person at a terminal says; elsewhere nobody agrees."""
    if not (sys.stdin.isatty() and err.is_terminal):
        return False
    question = f"The feed lacks {removals.removed} of {removals.of} products. Take them out?"
    return typer.confirm(question, err=True)


def _plain(report: SyncReport) -> dict[str, Any]:
    return {
        "dry_run": report.dry_run,
        "products": report.items,
        "new": report.new,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "gone": report.removed_items,
        "removal_share": report.removal_share,
        "embedded": report.embedded,
        "reused": report.reused,
        "columns_only": report.columns_only,
        "removed_pictures": report.removed,
        "kept_old": report.kept,
        "found_by_name": report.by_name,
        "skipped": [one._asdict() for one in report.skipped],
        "without_picture": report.without_image,
        "bad_rows": [one._asdict() for one in report.bad],
        "duplicates": report.duplicates,
        "unread_prices": report.unread_prices,
        "unknown_tags": report.unknown_tags,
    }


def _tell(result: Mapping[str, Any]) -> None:
    would = "would be " if result["dry_run"] else ""
    out(
        f"{result['products']} products in the feed: {result['new']} {would}new, "
        f"{result['changed']} {would}changed, {result['unchanged']} unchanged; "
        f"{result['gone']} {would}gone"
    )
    out(
        f"pictures: {result['embedded']} {would}embedded, {result['reused']} known under another "
        f"name, {result['columns_only']} with new columns only, {result['removed_pictures']} "
        f"{would}removed"
    )
    if not result["dry_run"]:
        out(f"the catalogue has {result['pictures']} pictures of {result['items']} products")
    if result["found_by_name"]:
        say(f"{result['found_by_name']} pictures were found by the file name of their address")
    for what, key in (
        ("skipped", "skipped"),
        ("row not used", "bad_rows"),
    ):
        for one in result[key][:_SHOWN]:
            place = one.get("image_id") or f"line {one['line']}"
            say(f"{what}: {place}: {one['reason']}")
        if len(result[key]) > _SHOWN:
            say(f"and {len(result[key]) - _SHOWN} more")
    if result["kept_old"]:
        say(f"{result['kept_old']} old pictures stay, as their products have no new one yet")
    for words, names in (
        ("products without any picture that can be opened", result["without_picture"]),
        ("numbers that came more than once (the last row counts)", result["duplicates"]),
        ("tags unknown to the bundle, and ignored", list(result["unknown_tags"])),
    ):
        if names:
            say(f"{len(names)} {words}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}")
    for name, count in result["unread_prices"].items():
        say(f"{count} cells of {name} are no price, and are left out")
