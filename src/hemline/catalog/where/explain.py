"""Why no product meets a condition: the part that none meets, and the values near to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from hemline.budget import polled
from hemline.catalog.where.conditions import (
    And,
    Compare,
    HasTag,
    IsTrue,
    Leaf,
    Like,
    Node,
    OneOf,
    Or,
    as_number,
)
from hemline.catalog.where.expression import Where
from hemline.catalog.where.pattern import fold
from hemline.errors import HemlineError

if TYPE_CHECKING:
    from hemline.catalog.store import Facet, Store

_PARTS = 20  # of a condition that are looked at
_VALUES = 2000  # of a column that are compared with a constant
_SHOWN = 60  # characters of a value


def explain(store: Store, where: Where) -> str:
    """Why no image of the store meets a condition, in one line; empty where some do.

    It is empty, too, where finding out would cost more than the present query may.
    """
    with suppress(HemlineError):  # the answer stands without it
        if _meets(store, where, where.tree):
            return ""
        parts = list(dict.fromkeys(_positive(where.tree)))[:_PARTS]
        unmet = [part for part in parts if not _meets(store, where, part)]
        if unmet:
            return "; ".join(_reason(store, part) for part in unmet[:3])
        return "some products meet each part of the condition, but none meets it as a whole"
    return ""


def _meets(store: Store, where: Where, tree: Node) -> bool:
    part = Where(repr(tree), where.columns, tree)  # stores know a condition by its text
    return store.item_page(1, "", part).counts.images > 0


def _positive(node: Node) -> Iterator[Leaf]:
    """The tests of a condition that aren't negated."""
    if isinstance(node, And | Or):
        for part in node.parts:
            yield from _positive(part)
    elif isinstance(node, Leaf):
        yield node


def _reason(store: Store, leaf: Leaf) -> str:
    if isinstance(leaf, HasTag):
        known: list[str] = []
        for name, facet in store.facets(["tags"], limit=_VALUES).items():
            for value, _ in facet.values:
                tag = f"{name.removeprefix('tags.')}={value}"
                known.append(tag if "=" in leaf.name else str(value))
        return f"no product has the tag {_shown(leaf.name)}{_near(leaf.name, known)}"
    column = leaf.column
    if column == "image_id":  # may be a path, which isn't everybody's to see
        return "no image has such an image_id"
    facet = store.facets([column], limit=_VALUES)[column]
    constants = leaf.constants if isinstance(leaf, OneOf) else ()
    if isinstance(leaf, Compare):
        constants = (leaf.constant,)
    if not facet.items:
        return f"no product has a value for {column}"
    if isinstance(leaf, Like):
        return f"no {column} is like {_shown(leaf.pattern)}{_near(leaf.pattern, _texts(facet))}"
    if not constants:
        what = "true" if isinstance(leaf, IsTrue) else "without a value"
        return f"{column} is nowhere {what}"
    wanted = " or ".join(_shown(constant) for constant in constants[:5])
    symbol = leaf.symbol if isinstance(leaf, Compare) else "="
    is_text = any(isinstance(constant, str) for constant in constants)
    if facet.low is not None:
        kind = f"; it holds numbers from {facet.low:g} to {facet.high:g}"
        return f"no {column} is {symbol} {wanted}{kind}"
    texts = _texts(facet)
    if is_text:
        return f"no {column} is {symbol} {wanted}{_near(str(constants[0]), texts)}"
    if not any(as_number(value) is not None for value, _ in facet.values):
        return f"{column} holds texts such as {_shown(texts[0])}, and {wanted} is a number"
    return f"no {column} is {symbol} {wanted}; its values: {', '.join(map(_shown, texts[:5]))}"


def _texts(facet: Facet) -> list[str]:
    return [str(value) for value, _ in facet.values]


def _near(text: str, values: list[str]) -> str:
    """``. Did you mean 'Dress'?``, or some of the values."""
    folded = {fold(value[:200]): value for value in reversed(values)}
    bare = fold(text[:200]).strip("%")
    close = get_close_matches(bare, polled(folded, 16), n=3, cutoff=0.6)
    inside = [key for key in folded if bare and bare in key and key not in close]
    if names := [_shown(folded[key]) for key in [*close, *inside][:3]]:
        return f". Did you mean {' or '.join(names)}?"
    return f"; values: {', '.join(map(_shown, values[:5]))}{' …' if len(values) > 5 else ''}"


def _shown(value: Any) -> str:
    """A constant or value as a condition has it, on one line."""
    if not isinstance(value, str):
        return f"{value:g}" if isinstance(value, float) else str(value).lower()
    short = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
    return repr(short)
