"""``hemline data check`` and ``hemline data show``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import (
    JsonOption,
    ManifestArgument,
    Workers,
    emit,
    natives_hushed,
    out,
    say,
    stages,
    to_json,
)
from hemline.errors import DataError, UsageError
from hemline.files import write_durable


def check(
    manifest: ManifestArgument,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            help="Write the report: .json whole, .html as a page with thumbnails. May be repeated.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if an image can't be opened.")
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the journal of checked files; default: checks in HEMLINE_HOME."
        ),
    ] = None,
    workers: Workers = None,
    json: JsonOption = False,
) -> None:
    """Open every image; report broken, duplicated, leaked, mislabelled and useless ones.

    An interrupted check resumes. The exit status is 0 whatever is found, unless --strict is given.

    Example: hemline data check m.parquet -o report.json -o report.html
    """
    from hemline.data.checking.check import check_manifest
    from hemline.data.manifest import Manifest
    from hemline.views.check_page import write_page

    for file in output or ():
        if file.suffix.lower() not in (".json", ".html"):
            raise UsageError(f"a report is .json or .html, not {file.name!r}")
    table = Manifest.read(manifest)
    with natives_hushed(), stages() as stage:
        report = check_manifest(
            table,
            workers,
            progress=stage("opening pictures"),
            cache=_journal(cache, table.root),
            comparing=stage("comparing look-alikes"),
        )
    result = report.to_json()
    for file in output or ():
        if file.suffix.lower() == ".json":
            write_durable(file, to_json(result, indent=1) + "\n")
        else:
            write_page(report, table, file)
    if strict and report.count("broken"):
        raise DataError(_broken(result, ", ".join(map(str, output or ()))))
    emit(result, json, _print)
    if not json:
        for file in output or ():
            out(f"written: {file}")


def _broken(result: Mapping[str, Any], written: str) -> str:
    found = result["findings"][0]  # the most harmful kind
    first = found["examples"][0]
    return (
        f"{found['count']:,} of {result['files']:,} pictures can't be opened; the first: "
        f"{first['paths'][0]} {first['reason']}" + (f"; {written} has all" if written else "")
    )


def _journal(cache: Path | None, root: Path) -> Path:
    """The journal of a folder of images."""
    from hemline.files import home

    name = hashlib.sha256(str(root).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return (cache or home() / "checks") / f"{name}.jsonl"


def _print(result: Mapping[str, Any]) -> None:
    out(f"{result['rows']:,} rows, {result['files']:,} files, {result['items']:,} items")
    if result["sides"]:
        low, middle, high = result["sides"]
        out(f"shorter side {low:g} to {high:g} pixels, median {middle:g}")
    if result["remembered"]:
        out(f"{result['remembered']:,} files are unchanged since an earlier check")
    for found in result["findings"]:
        out(f"{found['harm']:6}  {found['title']}: {found['count']:,}")
        out(f"        as {_first(found['examples'][0])}")
        out(f"        {found['why']} {found['advice']}")
        if found["name"] == "broken":
            for one in found["examples"]:
                say(f"{one['paths'][0]} {one['reason']}")
    if result["left_out"]:
        out(f"{result['left_out']:,} look-alikes weren't compared: too many pictures are alike")
    if result["uncompared"]:
        out(
            f"possible near duplicates, not compared: {result['uncompared']:,} (comparing needs "
            "OpenCV: pip install 'hemline[synthetic]')"
        )
    if not result["findings"]:
        out("nothing is wrong")


def _first(example: Mapping[str, Any]) -> str:
    words = [example["tag"]] if "tag" in example else []
    words += example.get("paths", [])[:2] or example.get("items", [])[:2]
    if len(example.get("items", [])) > 1 and "paths" in example:
        words += [f"(items {', '.join(example['items'][:3])})"]
    words += [f"({example['reason']})"] if "reason" in example else []
    return " ".join(words)


def show(
    manifest: ManifestArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The sheet: .png or .jpg.")],
    domain: Annotated[str, typer.Option(help="Only street or shop.")] = "",
    item: Annotated[list[str] | None, typer.Option(help="Only this item; may be repeated.")] = None,
    split: Annotated[str, typer.Option(help="Only train, val or test.")] = "",
    pairs: Annotated[
        bool, typer.Option("--pairs", help="By item: its street images beside its shop images.")
    ] = False,
    count: Annotated[int, typer.Option(min=1, max=400, help="Number of images.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random choice.")] = 0,
    side: Annotated[int, typer.Option(min=64, max=640, help="Side of each image in pixels.")] = 256,
    json: JsonOption = False,
) -> None:
    """Draw a sheet of images with their boxes, landmarks and tags.

    Example: hemline data show m.parquet -o sheet.png --domain street --count 30

    Example: hemline data show m.parquet -o pairs.png --pairs
    """
    from hemline.data.manifest import Manifest
    from hemline.views.manifest import pick, pick_pairs, write_sheet

    table = Manifest.read(manifest)
    choose = pick_pairs if pairs else pick
    chosen = choose(table, domain, split, tuple(item or ()), count, seed)
    with natives_hushed():
        sheet = write_sheet(chosen, output, side, pairs=pairs)
    for line in sheet.skipped:
        say(f"left out: {line}")
    result = {"path": str(output), "shown": sheet.shown, "skipped": sheet.skipped}
    emit(result, json, lambda r: out(f"{r['shown']} pictures drawn to {r['path']}"))
