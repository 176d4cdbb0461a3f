"""Exact Street2Shop: street photos with boxes, and shop images of exactly the same item.

Source: M. Hadi Kiapour, X. Han, S. Lazebnik, A. C. Berg, T. L. Berg, "Where to Buy It: Matching
Street Clothing Photos in Online Shops", ICCV 2015, http://www.tamaraberg.com/street2shop

Layout:

- ``photos.txt`` (or ``photos/photos.txt``): ``000000001,http://…`` parted at the first comma.
- ``meta/json`` (or ``json``, or the root): ``train_pairs_CATEGORY.json``,
  ``test_pairs_CATEGORY.json`` (street photo, product, box) and ``retrieval_CATEGORY.json`` (shop
  photo, product).
- the pictures, below ``images`` or wherever: any folders, any suffix, named by the photo's number
  with or without leading zeros. Many links are dead; existing files are read.

A street row for each pair, a shop row for each photo and product; a photo that stands on several
has ``#2``, ``#3`` …. A product's number is its own within a category only, so the item is
``category/product``. Street rows are of the split of their file. Shop rows have none, since the
published gallery is the category's whole retrieval file, but for those of products that training
pairs name and no test pair does: they are ``train`` (and still part of that gallery).

Protocols ``street2shop/CATEGORY``: the street photo is cropped to its box and searched among the
shop photos of its category. ``street2shop/all`` and ``street2shop/ahbn`` (the six categories of the
AHBN paper, section IV-A) give a figure for each category and their mean.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.manifest.image_ids import image_ids
from hemline.data.manifest.validate import BOX, SCHEMA
from hemline.data.protocol import (
    TABLE_LOST,
    Choices,
    Protocol,
    ProtocolGroup,
    ProtocolSpec,
    Published,
    figures,
    roles,
)
from hemline.data.relevance import mask_of, match_items, text_column
from hemline.datasets._arrow import pa
from hemline.datasets._base import LINKS, Options, ReaderSpec, ReadReport, beside, checked, follows
from hemline.datasets._files import find_pictures, links_note
from hemline.datasets._json import number, read_json, whole
from hemline.datasets._lists import read_text
from hemline.errors import DataError
from hemline.files import absolute

PUBLISHED = {"shop photos": 404_683, "street photos": 20_357, "pairs": 39_479, "categories": 11}
_FOLDERS = ("meta/json", "json", "meta", "")
_IMAGES = ("images", "photos", "img", "")


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    folder, files = _files(root)
    urls = _photos(root)
    images, pictures, notes = _images(root, options)
    wrong: Counter[str] = Counter()
    columns: dict[str, list[Any]] = {
        name: [] for name in ("photo", "item_id", "domain", "split", "category", *BOX, "url")
    }
    trained: set[str] = set()
    tested: set[str] = set()
    for kind, category, file in files:
        for photo, product, box in _entries(folder / file, kind, wrong):
            item = f"{category}/{product}"
            if kind != "retrieval":
                (trained if kind == "train" else tested).add(item)
            columns["photo"].append(photo)
            columns["item_id"].append(item)
            columns["domain"].append("shop" if kind == "retrieval" else "street")
            columns["split"].append("" if kind == "retrieval" else kind)
            columns["category"].append(category)
            for name, side in zip(BOX, box, strict=True):
                columns[name].append(side)
            columns["url"].append(urls.get(photo, ""))
    if not columns["photo"]:
        raise DataError(f"{folder} lists no photo; expected train_pairs_CATEGORY.json and others")
    published = _counts(columns, files)
    notes += [f"{n:,} {what}" for what, n in wrong.items()]
    only = trained - tested
    columns["split"] = [
        "train" if domain == "shop" and item in only else split
        for domain, item, split in zip(
            columns["domain"], columns["item_id"], columns["split"], strict=True
        )
    ]
    if not urls:
        notes.append("there is no photos.txt; the rows have no url")
    return checked(_arrays(columns, pictures), root, images, options, notes, published)


def _files(root: Path) -> tuple[Path, list[tuple[str, str, str]]]:
    """The folder of the lists, and (train, test or retrieval; category; file) of each."""
    starts = {"train_pairs_": "train", "test_pairs_": "test", "retrieval_": "retrieval"}
    for name in _FOLDERS:
        folder = root / name
        if not folder.is_dir():
            continue
        found = []
        for file in sorted(entry.name for entry in os.scandir(folder) if entry.is_file()):
            for start, kind in starts.items():
                if file.startswith(start) and file.endswith(".json"):
                    category = file[len(start) : -len(".json")]
                    if category and category.isprintable():
                        found.append((kind, category, file))
        if found:
            return folder, sorted(found, key=lambda one: (one[1], one[0] == "retrieval", one[0]))
    looked = ", ".join(str(root / name) for name in _FOLDERS)
    raise DataError(
        f"no train_pairs_CATEGORY.json, test_pairs_… or retrieval_… in {looked}; the root is the "
        "folder that holds meta and photos.txt"
    )


def _photos(root: Path) -> dict[int, str]:
    """Photo → address; empty where there is no list."""
    file = next((f for f in (root / "photos.txt", root / "photos/photos.txt") if f.is_file()), None)
    if file is None:
        return {}
    urls = {}
    lines = read_text(file, "replace").decode("utf-8", "replace").split("\n")
    for at, line in enumerate(lines, 1):
        if line.strip():
            photo, _, url = line.partition(",")
            key = whole(photo.strip())
            if key is None:
                raise DataError(f"{file}, line {at}: {line[:80]!r}; expected 000000001,http://…")
            urls[key] = "".join(letter for letter in url.strip() if letter.isprintable())
    return urls


def _images(root: Path, options: Options) -> tuple[Path, dict[int, str], list[str]]:
    """The folder of the pictures, those of it by number, notes; raises DataError for none."""
    given, follow = options.get("images"), follows(options)
    folders = [root / name for name in ((given,) if given is not None else _IMAGES)]
    for folder in folders:
        if folder.is_dir():
            left: list[str] = []
            place = absolute(folder)
            pictures = _pictures(place, follow, left)
            if pictures:
                return place, pictures, links_note(left)
    looked = ", ".join(str(folder) for folder in folders)
    raise DataError(f"no picture is named by a photo's number in {looked} (images=FOLDER)")


def _pictures(folder: Path, follow: bool, left: list[str]) -> dict[int, str]:
    """Photo → path below ``folder`` of the pictures that are named by a number."""
    pictures: dict[int, str] = {}
    for path in find_pictures(folder, follow, left):
        photo = whole(path.rpartition("/")[2].rpartition(".")[0])
        if photo is not None and path.isprintable():
            pictures.setdefault(photo, path)
    return pictures


Box = tuple[float | None, float | None, float | None, float | None]
_NO_BOX: Box = (None, None, None, None)


def _entries(file: Path, kind: str, wrong: Counter[str]) -> Iterator[tuple[int, int, Box]]:
    found = read_json(file)
    if not isinstance(found, list):
        raise DataError(f"{file} holds no list of photos and products")
    for entry in found:
        fields = entry if isinstance(entry, dict) else {}
        photo, product = whole(fields.get("photo")), whole(fields.get("product"))
        if photo is None or product is None:
            wrong[f"entries of {file.name} name no photo and product; they are left out"] += 1
            continue
        yield photo, product, _NO_BOX if kind == "retrieval" else _box(fields.get("bbox"), wrong)


def _box(value: Any, wrong: Counter[str]) -> Box:
    fields = value if isinstance(value, dict) else {}
    left, top, width, height = (number(fields.get(k)) for k in ("left", "top", "width", "height"))
    if width > 0 and height > 0 and left == left and top == top:
        return left, top, left + width, top + height
    wrong["street photos whose box lacks a side or an area; they stay, without box"] += 1
    return _NO_BOX


def _counts(
    columns: Mapping[str, list[Any]], files: list[tuple[str, str, str]]
) -> dict[str, tuple[int, int]]:
    shop = np.array(columns["domain"]) == "shop"
    photo = np.array(columns["photo"], np.int64)
    counted = {
        "shop photos": len(np.unique(photo[shop])),
        "street photos": len(np.unique(photo[~shop])),
        "pairs": int((~shop).sum()),
        "categories": len({category for _, category, _ in files}),
    }
    return beside(PUBLISHED, counted)


def _arrays(columns: dict[str, list[Any]], pictures: Mapping[int, str]) -> dict[str, Any]:
    photos = columns.pop("photo")
    names = pa.array([f"{photo:09d}" for photo in photos])
    made = {
        "image_id": image_ids(pa.array([""] * len(photos)), names),
        "path": pa.array([pictures.get(photo, f"{photo:09d}.jpg") for photo in photos]),
    }
    for name, values in columns.items():
        made[name] = pa.array(values, SCHEMA.get(name, pa.string()))
    return made


READERS: Mapping[str, ReaderSpec] = {
    "street2shop": ReaderSpec(
        name="street2shop",
        summary="Exact Street2Shop: street photos against shop pictures of the very product.",
        get="photos.tar and meta.zip from http://www.tamaraberg.com/street2shop/wheretobuyit, then "
        "download the addresses in photos.txt into a folder images, named by their number",
        licence="research; each picture belongs to its shop or photographer",
        reader=_read,
        folder=True,
        options={
            "images": "folder of the pictures; default images, photos, img or the root",
            **LINKS,
        },
    )
}


STREET2SHOP_TOPS = figures("GRNet, ICCV 2019", "recall@1", {"GRNet": 0.583})
STREET2SHOP_AHBN = figures("AHBN, TCSVT 2021", "recall@20", {"AHBN": None}, TABLE_LOST)

CATEGORIES = (
    *("bags", "belts", "dresses", "eyewear", "footwear", "hats", "leggings", "outerwear"),
    *("pants", "skirts", "tops"),
)
#: The six that overlap with Consumer-to-Shop.
AHBN = ("dresses", "leggings", "outerwear", "pants", "skirts", "tops")


def one_category(
    category: str, manifest: Manifest, choices: Choices, group: ProtocolGroup | None = None
) -> tuple[Protocol, ...]:
    """Test photos of the category among its shop photos, of every split."""
    role, split = roles(manifest), text_column(manifest, "split")
    kind, items = text_column(manifest, "category"), text_column(manifest, "item_id")
    queries = np.flatnonzero((role == "query") & (split == "test") & (kind == category))
    inside = (kind == category) if choices.within_category else np.ones(len(manifest), bool)
    gallery = np.flatnonzero((role == "gallery") & inside)
    stated = {
        "queries": f"street photos of test, {category}",
        "gallery": f"all shop photos of {category}"
        if choices.within_category
        else "all shop photos of every category",
        "items": "the queries' products are kept out of training",
    }
    held_out = set(items[queries].tolist())
    name = f"street2shop/{category}"
    return (match_items(name, manifest, queries, gallery, choices, stated, held_out, group=group),)


def several(
    name: str, categories: tuple[str, ...], manifest: Manifest, choices: Choices
) -> tuple[Protocol, ...]:
    """One protocol for each category that has photos of test and shop photos.

    Raises:
        DataError: no category has.
    """
    role, split = roles(manifest), text_column(manifest, "split")
    kind = text_column(manifest, "category")
    asking = set(kind[(role == "query") & (split == "test")].tolist())
    there = asking & set(kind[role == "gallery"].tolist())
    used = [category for category in categories if category in there]
    missing = [category for category in categories if category not in there]
    if not used:
        raise DataError(
            f"protocol {name!r} finds no category with street photos of test and shop photos; the "
            f"manifest's categories are: {', '.join(sorted(set(kind.tolist()))[:20]) or 'none'}"
        )
    words = f"{len(used)} of {len(categories)} categories: {', '.join(used)}"
    stated = {
        "queries": "street photos of test of each category",
        "gallery": "all shop photos of the category"
        if choices.within_category
        else "all shop photos of every category",
        "categories": words + (f"; not here: {', '.join(missing)}" if missing else ""),
    }
    group = ProtocolGroup(name, "categories", stated)
    return tuple(one_category(one, manifest, choices, group)[0] for one in used)


def _published(category: str) -> tuple[Published, ...]:
    tops = STREET2SHOP_TOPS if category == "tops" else ()
    return (*tops, *(STREET2SHOP_AHBN if category in AHBN else ()))


def _set(name: str, categories: tuple[str, ...], words: str) -> ProtocolSpec:
    return ProtocolSpec(
        partial(several, name, categories),
        queries=f"street photos of test, {words}: a figure each, and the mean",
        gallery="all shop photos of the query's category",
        products="the queries' products are kept out of training",
        crop="query",
        within_category=True,
        several="photo",
        published=STREET2SHOP_AHBN,
        made_for=partial(_asks, categories),
    )


def _asks(categories: tuple[str, ...], manifest: Manifest) -> bool:
    """Whether a manifest is of the data, with a part of ``categories`` to measure on."""
    kind, items = text_column(manifest, "category"), text_column(manifest, "item_id")
    named = np.char.startswith(items, np.char.add(kind, "/"))
    test = (roles(manifest) == "query") & (text_column(manifest, "split") == "test")
    return bool(named.all() and (test & mask_of(kind, categories)).any())


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "street2shop/all": _set("street2shop/all", CATEGORIES, "each of the eleven categories"),
    "street2shop/ahbn": _set("street2shop/ahbn", AHBN, "the AHBN paper's six categories"),
    **{
        f"street2shop/{category}": ProtocolSpec(
            partial(one_category, category),
            queries=f"street photos of test, {category}",
            gallery=f"all shop photos of {category}",
            products="the queries' products are kept out of training",
            crop="query",
            within_category=True,
            several="photo",
            published=_published(category),
        )
        for category in CATEGORIES
    },
}
