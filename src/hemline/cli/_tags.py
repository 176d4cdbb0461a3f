"""``hemline data tags``: tags from a shop's own words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, out, progress, say, to_json
from hemline.errors import UsageError
from hemline.files import write_durable

#: Most values, conflicts and words printed; --report has all.
_SHOWN = 6


_Manifest = Annotated[
    Path | None,
    typer.Argument(help="A .parquet or .csv file, or a folder that holds one.", show_default=False),
]
_Columns = Annotated[
    str,
    typer.Option(
        "--from", help="Columns to read, in order of trust: title,description. Default: detected."
    ),
]
_Vocabularies = Annotated[
    list[str] | None, typer.Option(help="A vocabulary file, or the built-in english. Repeatable.")
]
_Merge = Annotated[
    bool, typer.Option("--merge/--no-merge", help="Merge free tags with nearly equal spelling.")
]
_Drop = Annotated[
    list[Path] | None, typer.Option(help="A file of tags to leave out, one per line. Repeatable.")
]
_WriteVocabulary = Annotated[
    Path | None,
    typer.Option(help="Write the built-in vocabulary to this file, to edit; no manifest."),
]


def tags(
    manifest: _Manifest = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The manifest with tags; without it, only the report."),
    ] = None,
    columns: _Columns = "",
    vocabulary: _Vocabularies = None,
    keep_tags: Annotated[
        bool, typer.Option("--keep-tags/--replace", help="Keep or replace existing tags.")
    ] = True,
    min_count: Annotated[
        int, typer.Option(min=1, help="Tags of fewer products become their parent or are removed.")
    ] = 1,
    merge: _Merge = True,
    drop: _Drop = None,
    report: Annotated[Path | None, typer.Option(help="Write the full report, as JSON.")] = None,
    sample: Annotated[int, typer.Option(min=0, help="Number of rows shown.")] = 5,
    write_vocabulary: _WriteVocabulary = None,
    json: JsonOption = False,
) -> None:
    """Make tags from a shop's own text: titles, descriptions, breadcrumbs, columns, free tags.

    Text columns are matched against a vocabulary that you can edit. The report counts the rows of
    each tag, contradictions, and frequent words that the vocabulary lacks.

    Example: hemline data tags shop.parquet

    Example: hemline data tags shop.parquet -o tagged.parquet --from title --min-count 20

    Example: hemline data tags --write-vocabulary mine.toml
    """
    from hemline.data.manifest import Manifest
    from hemline.tagging import TagSettings, tag_manifest

    if write_vocabulary is not None:
        _write_vocabulary(write_vocabulary, manifest, json)
        return
    if manifest is None:
        raise UsageError("`hemline data tags` needs a MANIFEST (or --write-vocabulary FILE)")
    settings = TagSettings(
        columns=tuple(name.strip() for name in columns.split(",") if name.strip()),
        vocabularies=tuple(vocabulary or ()),
        keep=keep_tags,
        min_count=min_count,
        merge=merge,
        drop=tuple(drop or ()),
        sample=sample,
    )
    table = Manifest.read(manifest)
    with progress("reading words") as advance:
        made, found = tag_manifest(table, settings, advance)
    result: dict[str, Any] = {"manifest": None, **found.to_json()}
    if output is not None:
        result["manifest"] = str(made.write(output))
    if report is not None:
        write_durable(report, to_json(result, indent=1) + "\n")
    emit(result, json, _print)
    if not json and output is None:
        say("nothing is written; -o MANIFEST writes the tags")


def _write_vocabulary(target: Path, manifest: Path | None, as_json: bool) -> None:
    from hemline.tagging import SHIPPED

    if manifest is not None:
        raise UsageError("--write-vocabulary takes no manifest; edit the file, then use it")
    if target.exists():
        raise UsageError(f"{target} exists already; name another file")
    write_durable(target, SHIPPED["english"].read_bytes())
    words = "edit it, then pass it by --vocabulary"
    emit({"vocabulary": str(target)}, as_json, lambda r: out(f"{r['vocabulary']}: {words}"))


def _print(result: Mapping[str, Any]) -> None:
    _print_columns(result)
    share = result["tagged"] / result["rows"]
    out(f"{result['tagged']:,} of {result['rows']:,} rows ({share:.0%}) have tags")
    for name, one in result["names"].items():
        if one["values"]:
            values = list(one["values"].items())
            shown = ", ".join(f"{value} {rows:,}" for value, rows in values[:_SHOWN])
            more = f", and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
            out(f"  {name:14} {one['coverage']:4.0%} of rows: {shown}{more}")
        else:
            out(f"  {name:14}   0% of rows")
    _print_cleaning(result)
    _print_conflicts(result)
    if result["words"]:
        words = ", ".join(f"{one['word']} {one['rows']:,}" for one in result["words"][:20])
        out(
            f"frequent words that mean no tag (add them to a vocabulary where they should): {words}"
        )
    for one in result["sample"]:
        out(f"{' | '.join(one['text']) or one['image_id']}")
        out(f"    {' '.join(one['tags']) or 'no tag'}")
    if result["manifest"] is not None:
        out(f"written: {result['manifest']}")


def _print_columns(result: Mapping[str, Any]) -> None:
    for one in result["columns"]:
        what = f"values of {one['name']}" if one["name"] else one["kind"]
        out(f"reads {one['column']} as {what} ({one['why']})")
    for column, why in result["not_read"].items():
        out(f"doesn't read {column}: {why}")


def _print_cleaning(result: Mapping[str, Any]) -> None:
    for key, what in (("merged", "spelt nearly alike"), ("rare", "rare"), ("dropped", "listed")):
        changes = result[key]
        for one in changes[:_SHOWN]:
            into = f"became {one['into']}" if one["into"] else "is left out"
            out(f"{what}: {one['tag']} ({one['items']:,} products) {into}")
        if len(changes) > _SHOWN:
            out(f"{what}: and {len(changes) - _SHOWN:,} more tags (--report has all)")
    if result["constant"]:
        out(f"every row has {', '.join(result['constant'])}: it carries no information")
    for name, count in result["misfit"].items():
        out(f"{count:,} rows: {name} left out, as the garment has none")
    if result["negated"]:
        out(f'{result["negated"]:,} values are denied by their text ("no hood") and left out')
    if result["overruled"]:
        out(f"{result['overruled']:,} values in customers' words gave way to the shop's own")


def _print_conflicts(result: Mapping[str, Any]) -> None:
    for what, one in list(result["conflicts"].items())[:_SHOWN]:
        first = one["examples"][0]
        kept = "/".join(first["kept"]) or "none"
        out(
            f"conflict {what}, {one['count']:,} rows; the first, {first['image_id']}: "
            f"{kept} taken, {'/'.join(first['other'])} not: {' | '.join(first['text'])}"
        )
    if len(result["conflicts"]) > _SHOWN:
        out(f"and {len(result['conflicts']) - _SHOWN} more kinds of conflict (--report has all)")
