"""DARN: consumers' photos and shop images of upper-body clothes with nine attributes.

Source: J. Huang, R. S. Feris, Q. Chen, S. Yan, "Cross-domain Image Retrieval with a Dual
Attribute-aware Ranking Network", ICCV 2015, section 3.

Layout: list files in the root whose lines are twelve words: customer's picture, shop's picture,
item, nine attribute values (-1: missing), as

    52040006/0000_47_012_002_U.jpg 52040006/0000_47_012_002_P.jpg 52040006/0000_47 7 4 0 7 0 1 0 2 4

and the pictures, in the root or a folder ``images``. A row for each picture; one on several lines
has the values of its first. The release has no split, and names no attribute: the order is that
of the vocabularies' sizes in the paper's Table 1 (`ATTRIBUTES`). Tags are ``color=17``, or with
``names=FILE`` (a CSV: attribute, number, name) ``color=light blue``; ``category`` is the first
attribute's value.

Protocol ``darn``: 1,717 photos searched among 200,000 online images (section 5.1). The paper's draw
isn't published; ours is seeded: 1,717 items, one photo of each. Their online images come first in
the gallery, then others drawn at random, so that each smaller gallery (`GALLERY_SIZES`; section
5.5, Figure 6) is the beginning of a larger one and holds every query's item. The figure's sizes
aren't in the text; 10,000 is that of Table 2.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec, figures, roles
from hemline.data.relevance import compared, mask_of, match_items, one_row_per_item, text_column
from hemline.datasets._arrow import Ints, Mask, pa, pc, word_lists
from hemline.datasets._base import LINKS, Options, ReaderSpec, ReadReport, beside, checked
from hemline.datasets._files import fullest, leaves
from hemline.datasets._lists import Lines, read_text
from hemline.errors import DataError, UsageError
from hemline.files import absolute

#: In the lists' order, with the sizes of their vocabularies.
ATTRIBUTES = {
    "category": 20,
    "color": 56,
    "shape": 10,
    "collar": 25,
    "pattern": 27,
    "sleeve_shape": 16,
    "sleeve_length": 7,
    "button": 12,
    "length": 6,
}
PUBLISHED = {"shop pictures": 453_983, "pairs": 91_390}
_WORDS = 3 + len(ATTRIBUTES)
#: An item's id, as 52040006/0000_47.
_ITEM = r"^[0-9]+/[0-9]+_[0-9]+$"
_IMAGES = ("images", "img", "pictures", "")


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    given = options.get("list")
    files = [root / part.strip() for part in given.split(",")] if given else _lists(root)
    words: list[Any] = [[], [], []]
    values, notes, count = [], [], 0
    for file in files:
        lines = Lines.of(read_text(file), str(file))
        lines.expect(_WORDS, "customer's picture, shop's picture, item, nine values")
        state, good = lines.integers(3, len(ATTRIBUTES))
        wrong = np.argwhere(~good | (state < -1))
        if len(wrong):
            lines.fail(int(wrong[0][0]), f"has a value that is no number in word {wrong[0][1] + 4}")
        for k in range(3):
            words[k].append(lines.column(k))
        values.append(state)
        count += len(lines)
    if not count:
        raise DataError(f"{', '.join(str(file) for file in files)}: there are no rows")
    user, product, item = (pa.concat_arrays(chunks) for chunks in words)
    state = np.concatenate(values)
    path, first, street, more = _pictures(user, product, item)
    notes += more
    tags, category, more = _tags(state, _names(root, options))
    notes += more
    line = pa.array(first)
    columns = {
        "path": path,
        "item_id": item.take(line),
        "domain": pa.array(np.where(street, "street", "shop").tolist()),
        "category": category.take(line),
        "tags": tags.take(line),
    }
    counted = {"shop pictures": int((~street).sum()), "pairs": count}
    published = beside(PUBLISHED, counted)
    for name, column in zip(ATTRIBUTES, state.T, strict=True):
        published[f"values of {name}"] = (ATTRIBUTES[name], len(np.unique(column[column >= 0])))
    folder = _folder(root, options, path.to_pylist())
    return checked(columns, root, folder, options, notes, published)


def _lists(root: Path) -> list[Path]:
    """The files of the root whose first line is a row; raises DataError if there is none."""
    found = []
    for file in sorted(root.glob("*.txt")):
        if file.is_file():
            with file.open("rb") as stream:
                words = stream.read(1 << 16).strip().split(b"\n")[0].split()
            if len(words) == _WORDS:
                found.append(file)
    if not found:
        raise DataError(
            f"{root} has no .txt file with rows of {_WORDS} words: customer's picture, shop's "
            "picture, item, nine values; name it by list=FILE"
        )
    return found


def _folder(root: Path, options: Options, paths: list[str]) -> Path:
    given = options.get("images")
    if given is not None and not (root / given).is_dir():
        raise UsageError(f"images={given}: there is no folder {root / given}")
    names = (given,) if given is not None else _IMAGES
    folders = [root / name for name in names if (root / name).is_dir()]
    return absolute(fullest(folders, [path for path in paths if not leaves(path)]))


def _pictures(user: Any, product: Any, item: Any) -> tuple[Any, Ints, Mask, list[str]]:
    """Each picture once: its path, its first line, whether it is a customer's, notes.

    The order is that of the lines, the customer's picture before the shop's.
    """
    count = len(item)
    both = pa.concat_arrays([user, product]).take(
        pa.array(np.arange(2 * count).reshape(2, count).T.ravel())
    )
    codes = both.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    _, start, inverse = np.unique(codes, return_index=True, return_inverse=True)
    items = item.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    other = items[np.arange(2 * count) // 2] != items[start[inverse] // 2]
    notes = []
    if other.any():
        row = int(np.flatnonzero(other)[0])
        notes.append(
            f"{int(other.sum()):,} times a picture stands under another item than at first, as "
            f"{both[row].as_py()}; it keeps the first"
        )
    start = np.sort(start)
    return both.take(pa.array(start)), start // 2, start % 2 == 0, notes


def _names(root: Path, options: Options) -> dict[tuple[str, int], str]:
    given = options.get("names")
    if given is None:
        return {}
    file = root / given
    names = {}
    text = read_text(file).decode()
    for at, cells in enumerate(csv.reader(io.StringIO(text)), 1):
        cells = [cell.strip() for cell in cells]
        if not any(cells) or (at == 1 and not cells[min(1, len(cells) - 1)].isdecimal()):
            continue
        known = len(cells) == 3 and cells[0] in ATTRIBUTES and cells[2].isprintable()
        if not (known and cells[1].isdecimal() and len(cells[1]) < 9 and cells[2]):
            raise DataError(
                f"{file}, line {at}: {cells[:4]}; expected attribute, number, name with one of "
                f"{', '.join(ATTRIBUTES)}"
            )
        names[cells[0], int(cells[1])] = cells[2]
    return names


def _tags(state: Ints, names: Mapping[tuple[str, int], str]) -> tuple[Any, Any, list[str]]:
    """(N,) lists of tags, (N,) categories, notes."""
    large = (state >= 10_000).any()
    if large:
        raise DataError(f"the attribute value {int(state.max())} is none; the largest list has 56")
    rows, columns = np.nonzero(state >= 0)
    width = int(state.max(initial=0)) + 1
    codes = columns * width + state[rows, columns]
    used, inverse = np.unique(codes, return_inverse=True)
    attributes = list(ATTRIBUTES)
    words = []
    for code in used.tolist():
        name, value = attributes[code // width], code % width
        words.append(f"{name}={names.get((name, value), value)}")
    lists = word_lists(rows, inverse.ravel(), words, len(state))
    first = state[:, 0]
    kinds = [str(names.get(("category", k), k)) for k in range(width)]
    category = pa.array([*kinds, ""]).take(pa.array(np.where(first >= 0, first, width)))
    notes = []
    for name, column in zip(attributes, state.T, strict=True):
        if int(column.max(initial=-1)) >= ATTRIBUTES[name]:
            notes.append(
                f"values of {name} go up to {column.max()}; published are "
                f"{ATTRIBUTES[name]}, from 0"
            )
    missing = int((state < 0).sum())
    if missing:
        notes.append(f"{missing / state.size:.1%} of the attribute values are missing")
    return lists, category, notes


READERS: Mapping[str, ReaderSpec] = {
    "darn": ReaderSpec(
        name="darn",
        summary="DARN: customers' and shops' pictures of upper clothes with nine attributes.",
        get="the authors give lists and addresses on request (ICCV 2015, J. Huang and others); "
        "about half of the pictures can still be downloaded",
        licence="research; each picture belongs to its shop or photographer",
        reader=_read,
        folder=True,
        options={
            "list": "list files below the root, joined by commas; default every .txt of such rows",
            "images": "folder of the pictures; default images, img, pictures or the root",
            "names": "a CSV below the root: attribute, number, name; default the numbers are kept",
            **LINKS,
        },
    )
}

YNET_FIGURE_3 = figures(
    "YNet, ACM MM 2017, Figure 3",
    "recall@20",
    {
        "NIN": 0.047,
        "TripletNIN": 0.079,
        "DARN": 0.112,
        "YNIN": 0.153,
        "FashionNet": 0.208,
        "TagYNIN": 0.222,
        "CtxYNIN": 0.242,
    },
    "its own split by product (darn-ynet); 5,966 queries, 23,773 shop pictures",
)

DARN = (
    *figures(
        "DARN, ICCV 2015",
        "recall@20",
        {"pre-trained CNN": 0.268, "DARN": 0.570},
        "gallery 200,000; pictures cut by the paper's detector",
    ),
    *figures(
        "DARN, ICCV 2015, Table 3",
        "ndcg@20",
        {
            "DSIFT + FV, C = 64": 0.290,
            "DSIFT + FV, C = 128": 0.289,
            "pre-trained CNN": 0.367,
            "pre-trained NIN": 0.370,
            "AN": 0.415,
            "ARN": 0.442,
            "DARN": 0.494,
            "DARN with Conv5": 0.499,
            "DARN with Conv4-5": 0.505,
        },
        "gallery 200,000; the paper leaves Z open",
    ),
    *figures(
        "DARN, ICCV 2015, Table 2",
        "recall@20",
        {"DARN with Conv4-5, crops by DPM": 0.297},
        "gallery 10,000; published figure only: there is no DPM here",
    ),
    *figures(
        "DARN, ICCV 2015, Table 2",
        "recall@20",
        {
            "DARN with Conv4-5, crops by pre-trained CNN+SVM": 0.560,
            "DARN with Conv4-5, crops by pre-trained CNN+SVR": 0.567,
            "DARN with Conv4-5, crops by pre-trained NIN+SVR": 0.588,
            "DARN with Conv4-5, crops by AN+SVR": 0.635,
        },
        "gallery 10,000",
    ),
    *YNET_FIGURE_3,
)

QUERIES, GALLERY = 1_717, 200_000
GALLERY_SIZES = (10_000, 50_000, 100_000, 150_000)


def darn(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """One photo of each drawn product, among their online images and others drawn at random."""
    role, items = roles(manifest), text_column(manifest, "item_id")
    ids = text_column(manifest, "image_id")
    order = np.argsort(ids, kind="stable")  # the manifest's own order doesn't matter
    street, shop = order[role[order] == "query"], order[role[order] == "gallery"]
    both = sorted(set(items[street].tolist()) & set(items[shop].tolist()))
    rng = np.random.default_rng(choices.seed)
    count = min(QUERIES, -(-len(both) // 2))  # of little data half remains to train on
    drawn = frozenset(both[at] for at in rng.permutation(len(both))[:count].tolist())
    queries = one_row_per_item(street[mask_of(items[street], drawn)], items, rng)
    own = mask_of(items[shop], drawn)
    others = shop[~own]
    others = others[rng.permutation(len(others))]
    gallery = np.concatenate([shop[own], others])[:GALLERY]
    # The paper's 200,000 are no images of its training, which has more than as many.
    disjoint = len(shop) - len(gallery) >= len(gallery)
    counts = (
        compared(QUERIES, len(queries), "queries"),
        compared(GALLERY, len(gallery), "gallery pictures"),
    )
    sizes = tuple(size for size in GALLERY_SIZES if size > int(own.sum()))
    stated = {
        "queries": f"one photo of each of {len(queries):,} products, seed {choices.seed}",
        "gallery": f"their {int(own.sum()):,} online images, and others drawn at random",
        "items": "the queries' products are kept out of training; the other online images "
        + ("are too" if disjoint else "aren't: too few would remain to train on"),
        "published_counts": "; ".join(counts),
    }
    made = match_items(
        "darn", manifest, queries, gallery, choices, stated, drawn, gallery_sizes=sizes
    )
    return (replace(made, disjoint_gallery=disjoint),)


def is_darn(manifest: Manifest) -> bool:
    """Whether a manifest is of the release: its tags' names and its items' ids are.

    The names alone don't tell: drawn data and tags from a shop's own words have the same.
    """
    names = {tag.partition("=")[0] for tag in manifest.tag_vocabulary()}
    if not names or not names <= set(ATTRIBUTES):
        return False
    items = pa.array(text_column(manifest, "item_id").tolist(), pa.string())
    return bool(pc.all(pc.match_substring_regex(items, _ITEM)).as_py())


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "darn": ProtocolSpec(
        darn,
        queries="one photo of each of 1,717 items drawn at random",
        gallery="200,000 online pictures, and recall@20 at 10,000 to 150,000 of them",
        products="the queries' products are kept out of training, and the gallery's images "
        "where as many others remain",
        crop="box",
        published=DARN,
        made_for=is_darn,
    )
}
