"""The names under which shops keep ids, images, categories and tags: one list for every reader.

They are those of Google Merchant's feeds and similar ones. Names are compared in lower case, with
blanks and ``-`` as ``_`` and without Google's ``g:``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

#: Field → the names of columns that are taken for it, best first.
KNOWN: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "sku", "item_id", "offer_id", "variant_id", "product_id", "article_id"),
    "group": ("item_group_id", "group_id", "parent_id", "parent_sku"),
    "images": ("image_link", "image", "images", "image_path", "image_url", "image_urls", "path",
               "picture", "pictures", "photo", "photos"),
    "category": ("category", "product_type", "google_product_category"),
    "tags": ("tags",),
}  # fmt: skip
_MORE_IMAGES = re.compile(r"(additional_)?(image|picture|photo)(_(link|url|path))?s?_?\d*")
_JOINED = re.compile(r"[,;|\n]")
_CODE = re.compile(r"[^\w]+")


def normalized(name: str) -> str:
    """``g:Image Link`` → ``image_link``: the form in which names are compared and stored."""
    return _CODE.sub("_", name.strip().lower().removeprefix("g:")).strip("_")


def is_known(name: str) -> bool:
    """Whether a normalised name is known as that of a field."""
    return any(name in known for known in KNOWN.values()) or bool(_MORE_IMAGES.fullmatch(name))


def known_columns(
    own: Mapping[str, str], mapped: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Field → its columns: the mapped ones, or those known by their names.

    Args:
        own: normalised name → column of a table.
        mapped: field or further name → the columns that a user has named for it.
    """
    taken = {column for columns in mapped.values() for column in columns}
    free = {name: column for name, column in own.items() if column not in taken}
    found = {
        key: mapped.get(key) or tuple(free[n] for n in known if n in free)
        for key, known in KNOWN.items()
    }
    if "images" not in mapped:
        more = [free[name] for name in free if _MORE_IMAGES.fullmatch(name)]
        found["images"] = tuple(dict.fromkeys([*found["images"], *sorted(more, key=_by_number)]))
    return found


def _by_number(name: str) -> tuple[int, str]:
    digits = re.sub(r"\D", "", name)
    return int(digits or 0), name


def pieces(value: Any) -> list[str]:
    """Splits a cell that may hold several texts: a list, or text joined by ``, ; |``."""
    if value is None:
        return []
    if isinstance(value, list | tuple | np.ndarray):
        return [piece for part in value for piece in _text_of(part)]
    return [piece.strip() for piece in _JOINED.split(str(value)) if piece.strip()]


def _text_of(value: Any) -> list[str]:
    """The text of a list's element, or the address in an object."""
    if isinstance(value, Mapping):
        value = next((value[k] for k in ("path", "src", "url", "link") if value.get(k)), None)
    text = "" if value is None else str(value).strip()
    return [text] if text else []
