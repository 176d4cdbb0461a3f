"""Cleans tags: merges spellings, widens or drops rare ones, drops listed ones.

DARN (Huang et al., ICCV 2015, section 3) "manually pruned the noisy labels, merged similar labels
based on human perception, and removed those with a small number of samples".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

from hemline.data.manifest.text import split_tags
from hemline.errors import DataError
from hemline.tagging.vocabulary import Attribute, Vocabulary

#: Of a misspelling: least similarity (0-1), least length, and how much rarer it must be.
_SIMILARITY, _LETTERS, _RARER = 0.9, 6, 4

Tags = tuple[str, ...]


class Merge(NamedTuple):
    """A tag that became another; ``into`` is empty if it was dropped."""

    tag: str
    into: str
    items: int


def count_items(rows: Iterable[Tags], items: Sequence[str]) -> Counter[str]:
    """Number of products with each tag."""
    pairs = {(tag, item) for tags, item in zip(rows, items, strict=True) for tag in tags}
    return Counter(tag for tag, _ in pairs)


def near(counts: Mapping[str, int], vocabulary: Vocabulary) -> dict[str, Merge]:
    """Free tags with several spellings → the most frequent spelling.

    Equal letters apart from blanks, hyphens, case and a plural's ``s``; or nearly equal letters (a
    misspelling) if it is rare. Values of the vocabulary and values with digits are never treated
    as misspellings.
    """
    merges: dict[str, Merge] = {}
    by_name: dict[str, list[str]] = {}
    for tag in counts:
        name, _, value = tag.partition("=")
        if name not in vocabulary.attributes or value not in vocabulary.attributes[name].values:
            by_name.setdefault(name, []).append(tag)
    for tags in by_name.values():
        tags.sort(key=lambda tag: (-counts[tag], tag))
        first: dict[str, str] = {}
        for tag in tags:
            bare = _bare(tag, vocabulary)
            into = first.setdefault(bare, tag)
            if into == tag and not any(letter.isdigit() for letter in tag):
                slip = _slip(bare, tag, first, counts)
                into = first[bare] = slip or tag
            if into != tag:
                merges[tag] = Merge(tag, into, counts[tag])
    return merges


def _bare(tag: str, vocabulary: Vocabulary) -> str:
    words = vocabulary.tokens(tag.partition("=")[2])
    return "".join(word for word in words if word.isalnum()).removesuffix("s") or tag


def _slip(bare: str, tag: str, first: Mapping[str, str], counts: Mapping[str, int]) -> str:
    if len(bare) < _LETTERS:
        return ""
    for other, into in first.items():
        if into == tag or abs(len(other) - len(bare)) > 2 or other[0] != bare[0]:
            continue
        if any(letter.isdigit() for letter in other) or counts[into] < _RARER * counts[tag]:
            continue
        if SequenceMatcher(None, other, bare).ratio() >= _SIMILARITY:
            return into
    return ""


def rare(
    rows: Sequence[Tags], items: Sequence[str], least: int, attributes: Mapping[str, Attribute]
) -> dict[str, Merge]:
    """Tags of fewer than ``least`` products → their parent if that has enough, or nothing.

    A parent counts the products of its rare children.
    """
    holders: dict[str, set[str]] = {}
    for tags, item in zip(rows, items, strict=True):
        for tag in tags:
            holders.setdefault(tag, set()).add(item)
    steps: dict[str, str] = {}

    def depth(tag: str) -> int:
        name, _, value = tag.partition("=")
        return len(attributes[name].ancestors(value)) if name in attributes else 0

    queue = sorted(holders, key=lambda tag: (-depth(tag), tag))
    for tag in queue:  # grows by parents that no row has yet
        if len(holders[tag]) >= least:
            continue
        name, _, value = tag.partition("=")
        parent = attributes[name].parents.get(value, "") if name in attributes else ""
        steps[tag] = f"{name}={parent}" if parent else ""
        if parent:
            if steps[tag] not in holders:
                holders[steps[tag]] = set()
                queue.append(steps[tag])
                queue.sort(key=lambda t: (-depth(t), t))
            holders[steps[tag]] |= holders[tag]
    merges = {}
    for tag, into in steps.items():
        while into in steps:
            into = steps[into]
        merges[tag] = Merge(tag, into, len(holders[tag]))
    return merges


def apply(rows: Iterable[Tags], merges: Mapping[str, Merge]) -> list[Tags]:
    """The rows' tags after the merges, in order, without duplicates."""
    return [
        tuple(dict.fromkeys(t for tag in tags if (t := merges[tag].into if tag in merges else tag)))
        for tags in rows
    ]


def read_drop(file: Path) -> list[str]:
    """A list of tags to leave out: one ``name=value`` per line, or a ``name`` for all its values.

    ``#`` starts a comment, as `hemline evaluate --probe tags --noise FILE` writes it.

    Raises:
        DataError: the file is missing or not text.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list of tags to drop can't be read: {file}: {error}") from None
    texts = [line.split(" #")[0].strip() for line in lines if not line.lstrip().startswith("#")]
    return [tag for text in texts if text for tag in (split_tags(text) if "=" in text else [text])]


def is_dropped(tag: str, listed: frozenset[str]) -> bool:
    """Whether a list of `read_drop` contains the tag or its name."""
    return tag in listed or tag.partition("=")[0] in listed
