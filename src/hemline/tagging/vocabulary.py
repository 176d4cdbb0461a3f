"""The vocabulary, a TOML file that maps words to tags.

The built-in `english.toml` beside this file explains the format in its first lines. It has the nine
attribute categories of Table 1 of Huang, Feris, Chen and Yan, *Cross-domain Image Retrieval with a
Dual Attribute-aware Ranking Network* (ICCV 2015), whose section 3 takes tags from the text around
an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from hemline.errors import DataError, nearest
from hemline.parsing import parse_toml
from hemline.tagging._text import fold, tokens

#: The only version of the format.
FORMAT = 1
#: Built-in vocabularies, by the name that the command line takes.
SHIPPED: Mapping[str, Path] = {"english": Path(__file__).with_name("english.toml")}

_TOP = ("format", "language", "letters", "rules")
_FLAGS = ("several", "head", "plurals")
_LISTS = ("labels", "nouns", "not_before", "not_for", "weak")
_TABLES = ("values", "parents", "implies", "endings")
RULES = (
    "negations",
    "fillers",
    "ignore",
    "ignore_rest",
    "ignore_before",
    "variants",
    "cuts",
    "common",
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One name of tags, such as ``collar``.

    Attributes:
        values: value → its words; the value's own name counts after a label only.
        labels: words that announce a value (``Neckline: round``), and names of columns.
        nouns: words before which a value's own name is a phrase: ``boat`` + ``neckline``.
        several: whether a product may have several values.
        head: whether a title's last word of this name is its subject; such a word counts at a
            phrase's end too.
        plurals: whether English plurals of the words count too.
        not_before: words before which no value of this name counts (``gold`` before ``buttons``).
        not_for: categories that this name doesn't apply to (trousers have no collar).
        weak: values that yield to any other (``straps`` beside ``cowl``).
        parents: value → the wider value.
        implies: value → tags that it implies.
        endings: value → endings of compound words that mean it (German ``-kleid``).
    """

    name: str
    values: Mapping[str, tuple[str, ...]]
    labels: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()
    several: bool = False
    head: bool = False
    plurals: bool = False
    not_before: tuple[str, ...] = ()
    not_for: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()
    parents: Mapping[str, str] = field(default_factory=dict)
    implies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    endings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def ancestors(self, value: str) -> tuple[str, ...]:
        """The wider values of ``value``, nearest first."""
        found: list[str] = []
        while (value := self.parents.get(value, "")) and value not in found:
            found.append(value)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Attributes by name, the rules' phrases, and replacements of letters."""

    attributes: Mapping[str, Attribute]
    rules: Mapping[str, tuple[str, ...]]
    letters: Mapping[int, str]

    @property
    def words(self) -> int:
        """Number of words and phrases that mean a value."""
        return sum(len(words) for a in self.attributes.values() for words in a.values.values())

    @property
    def head(self) -> str:
        """The name with ``head`` (``category``), or empty."""
        return next((a.name for a in self.attributes.values() if a.head), "")

    def tokens(self, text: str) -> tuple[str, ...]:
        """The tokens of a text, its letters replaced."""
        return tuple(tokens(fold(text, self.letters)))


def read_vocabulary(*files: str | Path) -> Vocabulary:
    """Reads vocabularies (files, or names of `SHIPPED`; default English) and joins them.

    Raises:
        DataError: a file is missing or invalid; the message says where.
    """
    attributes: dict[str, Attribute] = {}
    rules: dict[str, tuple[str, ...]] = dict.fromkeys(RULES, ())
    letters: dict[int, str] = {}
    for file in files or ("english",):
        path = SHIPPED.get(str(file), Path(file))
        one = _read(path)
        for name, attribute in one.attributes.items():
            known = attributes.get(name)
            attributes[name] = _join(known, attribute) if known else attribute
        rules = {name: (*rules[name], *one.rules[name]) for name in RULES}
        letters |= one.letters
    whole = Vocabulary(attributes, rules, letters)
    _check(whole, " and ".join(str(file) for file in files or ("english",)))
    return whole


def _read(path: Path) -> Vocabulary:
    try:
        raw = parse_toml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        known = ", ".join(SHIPPED)
        raise DataError(
            f"there is no vocabulary {path}; shipped: {known}; "
            "`hemline data tags --write-vocabulary FILE` writes one to edit"
        ) from None
    except (ValueError, OSError) as error:
        raise DataError(f"{path} can't be read as TOML (UTF-8): {error}") from None
    if raw.get("format") != FORMAT:
        raise DataError(f"{path}: format is {raw.get('format')!r}; this hemline reads {FORMAT}")
    attributes = {
        name: _attribute(name, table, path) for name, table in raw.items() if name not in _TOP
    }
    if not attributes:
        raise DataError(f"{path} has no [NAME] with [NAME.values], so no word means anything")
    given = _table(raw.get("rules", {}), "rules", path)
    for name in given:
        _known(name, RULES, f"{path}, [rules]")
    rules = {name: _words(given.get(name, []), f"rules.{name}", path) for name in RULES}
    letters = _table(raw.get("letters", {}), "letters", path)
    for letter, other in letters.items():
        if len(letter) != 1 or not isinstance(other, str):
            raise DataError(f'{path}, letters: one letter = "letters", not {letter} = {other!r}')
    return Vocabulary(attributes, rules, str.maketrans(dict(letters)))


def _attribute(name: str, table: Any, path: Path) -> Attribute:
    table = _table(table, name, path)
    if "=" in name or ";" in name or "values" not in table:
        raise DataError(f"{path}: [{name}] lacks [{name}.values], or its name holds '=' or ';'")
    for key in table:
        _known(key, (*_FLAGS, *_LISTS, *_TABLES), f"{path}, [{name}]")
    for key in _FLAGS:
        if not isinstance(table.get(key, False), bool):
            raise DataError(f"{path}: {name}.{key} is true or false, not {table[key]!r}")
    lists = {key: _words(table.get(key, []), f"{name}.{key}", path) for key in _LISTS}
    tables = {key: _table(table.get(key, {}), f"{name}.{key}", path) for key in _TABLES}
    parents = tables["parents"]
    for value, parent in parents.items():
        for one in (value, parent):
            if one not in tables["values"]:
                hint = nearest(str(one), tables["values"])
                raise DataError(f"{path}: {name}.parents names {one!r}, which is no value. {hint}")
    given: dict[str, Any] = {key: table.get(key, False) for key in _FLAGS} | lists
    for key in ("not_for", "weak"):
        given[key] = frozenset(lists[key])
    for key in ("values", "implies", "endings"):
        words = tables[key].items()
        given[key] = {v: _words(w, f"{name}.{key}.{v}", path) for v, w in words}
    return Attribute(name, parents=dict(parents), **given)


def _known(key: str, known: Sequence[str], where: str) -> None:
    if key not in known:
        raise DataError(f"{where}: unknown {key!r}. {nearest(key, known)}")


def _table(value: Any, what: str, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{path}: {what} is a table [{what}], not {value!r}")
    return value


def _words(value: Any, what: str, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise DataError(f'{path}: {what} is a list of words ["…", "…"], not {value!r}')
    return tuple(value)


def _join(first: Attribute, other: Attribute) -> Attribute:
    """The union of two attributes of one name; `plurals` is the first one's."""

    def union(one: Any, two: Any) -> Any:
        if isinstance(one, tuple):
            return (*one, *two)
        if not isinstance(one, dict):
            return one | two
        return {
            k: union(one[k], two[k]) if k in one and k in two else v for k, v in (one | two).items()
        }

    names = [f.name for f in fields(Attribute) if f.name not in ("name", "plurals", "parents")]
    joined = {name: union(getattr(first, name), getattr(other, name)) for name in names}
    return replace(first, parents={**first.parents, **other.parents}, **joined)


def _check(whole: Vocabulary, where: str) -> None:
    """Raises DataError if a phrase means two values of one name, a tag is unknown, or parents are
    cyclic."""
    heads = [a.name for a in whole.attributes.values() if a.head]
    if len(heads) > 1:
        raise DataError(f"{where}: head is true for {' and '.join(heads)}; one name can be it")
    for attribute in whole.attributes.values():
        meant: dict[tuple[str, ...], str] = {}
        for value, words in attribute.values.items():
            for word in words:
                key = whole.tokens(word)
                _check_tail(word, whole, f"{where}: {attribute.name}={value}")
                if not any(token.isalnum() for token in key):
                    raise DataError(f"{where}: {word!r} of {attribute.name}={value} has no letter")
                if meant.setdefault(key, value) != value:
                    raise DataError(
                        f"{where}: {word!r} stands for {attribute.name}={meant[key]} and for "
                        f"{attribute.name}={value}; take one out"
                    )
            if value in attribute.ancestors(value):
                raise DataError(f"{where}: the parents of {attribute.name}={value} go round")
        for value, tags in attribute.implies.items():
            for tag in (f"{attribute.name}={value}", *tags):
                name, _, other = tag.partition("=")
                if name not in whole.attributes or other not in whole.attributes[name].values:
                    raise DataError(f"{where}: {attribute.name}.implies has no such tag: {tag!r}")


def _check_tail(word: str, whole: Vocabulary, where: str) -> None:
    """Raises DataError if "..." is at an end, occurs twice, or precedes an unknown name."""
    head, dots, tail = word.partition("...")
    if not dots:
        return
    name = tail.strip().strip("{}")
    if not head.strip() or not name or "..." in tail:
        raise DataError(f'{where}: {word!r} is none of "word ... word" and "word ... {{name}}"')
    if tail.strip().startswith("{") and name not in whole.attributes:
        hint = nearest(name, whole.attributes)
        raise DataError(f"{where}: {word!r} asks for a word of {name!r}, which is no name. {hint}")
