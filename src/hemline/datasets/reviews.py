"""An export of customers' reviews, with photos, joined to a catalogue as street rows.

DARN's street images came this way (Huang et al., ICCV 2015, section 3): "customer review
websites, where people post their pictures wearing the clothing they have purchased". The export is
CSV, Parquet or JSON (an array, or one object per line); ``catalog=`` names the manifest of the
shop's own images. The result is one manifest: all rows of the catalogue, then a street row for each
photo, with its product's category and split. Every other column of the export is kept as
``review_NAME``, so that a customer's title is never taken for the shop's.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from hemline.data.manifest import Manifest
from hemline.data.manifest.files import locate, read_table
from hemline.data.manifest.text import infer
from hemline.datasets._base import NAMED, Options, ReaderSpec, ReadReport, keep_present, more_notes
from hemline.errors import DataError, UsageError, nearest
from hemline.files import absolute
from hemline.parsing import parse_json

_JSON = (".json", ".jsonl", ".ndjson")
#: Common names of the three columns, the likeliest first.
_USUAL: Mapping[str, tuple[str, ...]] = {
    "item_id": ("item_id", "product_id", "sku", "asin", "article", "article_id", "product", "item"),
    "path": (
        *("path", "photo", "photos", "image", "images", "picture", "pictures", "photo_path"),
        *("image_path", "customer_photo", "customer_photos", "customer_images", "file", "filename"),
    ),
    "text": ("text", "review", "review_text", "comment", "body", "content", "message"),
}
_PARTS = re.compile(r"[;|\n\r]+")
_PICTURE = re.compile(r"\.(jpe?g|png|webp|gif|avif|bmp|tiff?)$", re.IGNORECASE)
_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    file = root if root.suffix.lower() in _JSON and root.is_file() else locate(root)
    table = _table(file)
    if "catalog" not in options:
        raise UsageError(
            "say which shop the reviews are of: catalog=MANIFEST (`data read csv` makes one)"
        )
    shop = Manifest.read(options["catalog"])
    taken, guesses = _columns(table.column_names, options, file)
    folder = absolute(file).parent / options.get("images", "")
    rows, counts, unknown = _rows(table, taken, folder, shop)
    if not rows:
        told = "; ".join(_notes(counts, unknown)) or "it has no review"
        known = ", ".join(repr(item) for item in shop.column("item_id")[:3].tolist())
        raise DataError(
            f"{file}: no photo of a product of the catalogue (its products: {known} …): {told}"
        )
    street, report = keep_present(Manifest.from_table(_street(rows), shop.root, str(file)))
    mine = [name for name in street.names if name in rows[0]]  # others are filled by the join
    joined = pa.concat_tables([shop.table, street.table.select(mine)], promote_options="permissive")
    made = Manifest.from_table(joined, shop.root, f"{options['catalog']} and {file}")
    notes = [
        *guesses,
        f"{len(street):,} customers' photos join {len(shop):,} rows of the catalogue",
    ]
    notes += _notes(counts, unknown)
    return made, more_notes(report, *notes)


def _table(file: Path) -> Any:
    """The export as a table of any columns; raises DataError if it can't be read."""
    if file.suffix.lower() not in _JSON:
        table, problems = read_table(file, typed=False)
        problems.stop()
        return table
    try:
        text = file.read_text(encoding="utf-8-sig").strip()
        if text.startswith("["):
            records = parse_json(text)
        else:
            records = [parse_json(line) for line in text.split("\n") if line.strip()]
    except ValueError as error:
        raise DataError(f"{file} is no JSON (an array, or an object a line): {error}") from None
    if not records or not all(isinstance(record, dict) for record in records):
        raise DataError(f"{file} holds no JSON objects, one for each review")
    names = list(dict.fromkeys(name for record in records for name in record))
    return pa.table({name: _array([r.get(name) for r in records]) for name in names})


def _array(values: list[Any]) -> Any:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        texts = [
            v if v is None or isinstance(v, str) else json.dumps(v, ensure_ascii=False, default=str)
            for v in values
        ]
        return pa.array(texts, pa.string())


def _columns(
    names: Sequence[str], options: Options, file: Path
) -> tuple[dict[str, str], list[str]]:
    """The export's column for each of ours, and a note on each that was guessed."""
    taken: dict[str, str] = {}
    guessed = []
    lower = {name.lower().replace(" ", "_"): name for name in names}
    for ours, usual in _USUAL.items():
        if ours in options:
            if options[ours] not in names:
                hint = nearest(options[ours], names)
                raise UsageError(f"{file} has no column {options[ours]!r}. {hint}")
            taken[ours] = options[ours]
            continue
        found = next((lower[name] for name in usual if name in lower), None)
        if found is not None:
            taken[ours] = found
            guessed.append(f"{ours}={found}")
        elif ours != "text":
            raise UsageError(
                f"which column of {file} is the {ours}? Say {ours}=COLUMN; "
                f"it has {', '.join(names)}"
            )
    return taken, [f"taken by their names: {', '.join(guessed)}"] if guessed else []


def _products(shop: Manifest) -> dict[str, dict[str, str]]:
    """Each product's category and split, if all of its rows agree."""
    stated: dict[str, dict[str, set[str]]] = {}
    columns = [shop.column(name).tolist() for name in ("item_id", "category", "split")]
    for item, category, split in zip(*columns, strict=True):
        of_item = stated.setdefault(item, {"category": set(), "split": set()})
        of_item["category"].add(category)
        of_item["split"].add(split)
    return {
        item: {name: next(iter(one)) if len(one) == 1 else "" for name, one in of_item.items()}
        for item, of_item in stated.items()
    }


def _rows(
    table: Any, taken: Mapping[str, str], folder: Path, shop: Manifest
) -> tuple[list[dict[str, Any]], Counter[str], Counter[str]]:
    """A street row for each photo; what was left out, by kind; products that aren't known."""
    products = _products(shop)
    used = set(shop.column("image_id").tolist())
    counts: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    more = [n for n in table.column_names if n not in (taken["item_id"], taken["path"])]
    names = {n: f"review_{n.removeprefix('review_')}" for n in more}
    if taken.get("text") in names:
        names[taken["text"]] = "review_text"
    doubled = [name for name, count in Counter(names.values()).items() if count > 1]
    if doubled:
        raise UsageError(f"two columns of the export would be called {doubled[0]!r}; rename one")
    for record in table.to_pylist():
        item = _plain(record[taken["item_id"]])
        photos = _photos(record[taken["path"]])
        counts["reviews"] += 1
        if not photos:
            counts["without a photo"] += 1
            continue
        if item not in products:
            unknown[item] += 1
            continue
        for photo in photos:
            if _ADDRESS.match(photo):
                counts["addresses"] += 1
                continue
            path = str(folder / photo)
            if (item, path) in seen:
                counts["twice"] += 1
                continue
            seen.add((item, path))
            rows.append(
                {
                    "image_id": _new(photo, used),
                    "path": path,
                    "item_id": item,
                    "domain": "street",
                    **products[item],
                    **{names[n]: record[n] for n in more},
                }
            )
    return rows, counts, unknown


def _new(name: str, used: set[str]) -> str:
    """``name``, or ``name#2`` and so on if the joined manifest has it already."""
    number, unique = 1, name
    while unique in used:
        number += 1
        unique = f"{name}#{number}"
    used.add(unique)
    return unique


def _plain(value: Any) -> str:
    """A product's id as text; 17.0 (as in a column with empty cells) is 17."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _photos(cell: Any) -> list[str]:
    """The photos of a cell: a list, a JSON list, or names joined by ``; | ,`` or line ends."""
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        with contextlib.suppress(ValueError):
            cell = parse_json(cell)
    if isinstance(cell, list):
        parts = [_plain(part) for part in cell]
    else:
        parts = []
        for part in _PARTS.split(_plain(cell)):
            pieces = [piece.strip() for piece in part.split(",")]
            several = len(pieces) > 1 and all(_PICTURE.search(piece) for piece in pieces)
            parts += pieces if several else [part.strip()]
    return [part for part in parts if part]


def _street(rows: list[dict[str, Any]]) -> Any:
    columns = {name: _array([row[name] for row in rows]) for name in rows[0]}
    return pa.table(
        {
            name: infer(column) if pa.types.is_string(column.type) and name[:7] == "review_"
            and name != "review_text" else column
            for name, column in columns.items()
        }
    )  # fmt: skip


def _notes(counts: Counter[str], unknown: Counter[str]) -> list[str]:
    notes = []
    if counts["without a photo"]:
        notes.append(
            f"{counts['without a photo']:,} of {counts['reviews']:,} reviews have no photo and are "
            "left out"
        )
    if unknown:
        named = ", ".join(repr(item) for item, _ in unknown.most_common(NAMED // 4))
        notes.append(
            f"{sum(unknown.values()):,} reviews of {len(unknown):,} products that the catalogue "
            f"hasn't are left out: {named}"
        )
    if counts["addresses"]:
        notes.append(
            f"{counts['addresses']:,} photos are web addresses and left out; nothing is downloaded"
        )
    if counts["twice"]:
        notes.append(f"{counts['twice']:,} photos stand twice under their product; one row each")
    return notes


READERS: Mapping[str, ReaderSpec] = {
    "reviews": ReaderSpec(
        name="reviews",
        summary="Customers' reviews with photos, joined to a catalogue as street pictures.",
        get="export the reviews of your shop, with the photos' files",
        licence="that of your customers' photos and words",
        reader=_read,
        options={
            "catalog": "the manifest of the shop's pictures; needed",
            "images": "folder that relative paths start from; default the export's own",
            "item_id": "the export's column of the product; default the first of the usual names",
            "path": "of the photos' paths, several in a cell or one; default as above",
            "text": "of what the customer wrote; kept as review_text",
        },
    )
}
