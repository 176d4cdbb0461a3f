"""A shop's settings file, ``hemline.toml``: title, logo, colours, language and samples of its page.

    [service]
    title = "Modehaus Example"
    logo = "logo.svg"
    language = "de"

    [service.colors]
    accent = "#7a1f4b"

Paths are relative to the file. Colours keep the contrast of WCAG 2.2 AA (1.4.3), or are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from hemline.errors import UsageError, nearest
from hemline.files import read_regular
from hemline.parsing import parse_json, parse_toml
from hemline.text import check_text, text_problem

#: Its name in a catalogue's folder.
FILE = "hemline.toml"
#: The page's texts in each language that comes with it.
TEXTS = Path(str(files("hemline.service"))) / "page" / "texts"
LANGUAGES = ("en", "de")
#: The page's colours, in light and in dark.
LIGHT = {
    "ground": "#fbfaf7", "surface": "#ffffff", "sunken": "#f2efe9", "line": "#dfd9cf",
    "edge": "#8c8479", "ink": "#1d1b19", "soft": "#635c54", "accent": "#96401f",
    "on-ink": "#fbfaf7",
}  # fmt: skip
DARK = {
    "ground": "#171513", "surface": "#211e1b", "sunken": "#2a2622", "line": "#3d3832",
    "edge": "#928a80", "ink": "#f2ede6", "soft": "#b7aea3", "accent": "#f0a27e",
    "on-ink": "#1a1714",
}  # fmt: skip
#: Which colours are written on which, and the contrast that each pair has to have.
_PAIRS = [
    *(
        (text, ground, 4.5)
        for text in ("ink", "soft")
        for ground in ("ground", "surface", "sunken")
    ),
    ("on-ink", "ink", 4.5),
    ("on-ink", "accent", 4.5),
    ("edge", "surface", 3.0),
]
_LOGOS = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}
_LOGO_BYTES = 200_000
_TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_HEX = re.compile(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


@dataclass(frozen=True, slots=True)
class ShopPage:
    """What a shop has chosen for its page.

    Attributes:
        title: the page's name, or empty.
        logo: its bytes and media type, in place of the name.
        colors, dark: names of `LIGHT` and `DARK` with other values.
        language: of the texts; ``auto`` is the browser's, where the page has it.
        texts: by language, those that differ from the page's own.
        samples: folder of sample photos.
        judging, photo_links: as in `hemline.service.settings.Settings`.
    """

    title: str = ""
    logo: tuple[bytes, str] | None = None
    colors: Mapping[str, str] = field(default_factory=dict)
    dark: Mapping[str, str] = field(default_factory=dict)
    language: str = "en"
    texts: Mapping[str, Any] = field(default_factory=dict)
    samples: Path | None = None
    judging: bool = True
    photo_links: bool = False


def read_shop_file(path: Path) -> ShopPage:
    """Reads and checks a settings file.

    Raises:
        UsageError: it can't be read, or a setting is unknown or wrong: with the line of its key.
    """
    try:
        text = read_regular(path).decode()
        content = check_text(parse_toml(text), str(path))
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}") from None
    except ValueError as error:  # also of TOML, with line and column, and of UTF-8
        raise UsageError(f"{path} isn't TOML: {error}") from None
    reader = _Reader(path, text)
    reader.check_names("", content, {"service", "remote"})  # of `hemline catalog sync`
    return reader.page(reader.table("", content, "service"))


def shop_page(catalog: Path, path: Path | None = None) -> ShopPage:
    """What the settings file says: ``path``, or that in the catalogue's folder, if there is one.

    Raises:
        UsageError: as `read_shop_file`.
    """
    own = path or catalog / FILE
    return read_shop_file(own) if path or own.is_file() else ShopPage()


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self._path, self._lines = path, text.splitlines()

    def page(self, given: Mapping[str, Any]) -> ShopPage:
        readers: dict[str, Callable[[str, Any], Any]] = {
            "title": self._title,
            "logo": self._logo,
            "language": self._language,
            "samples": self._samples,
            "judging": self._flag,
            "photo_links": self._flag,
        }
        self.check_names("service", given, {*readers, "colors", "dark"})
        read = {
            name: reader(name, given[name]) for name, reader in readers.items() if name in given
        }
        language, texts = read.pop("language", ("en", {}))
        colors = self._colors(given, "colors", LIGHT)
        dark = self._colors(given, "dark", DARK)
        return ShopPage(language=language, texts=texts, colors=colors, dark=dark, **read)

    def check_names(self, table: str, given: Mapping[str, Any], known: set[str]) -> None:
        for name in given:
            if name not in known:
                where = f"of [{table}]" if table else "of the file"
                raise self._wrong(name, f"no setting {where}. {nearest(name, known)}")

    def table(self, parent: str, given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        value = given.get(name, {})
        if not isinstance(value, Mapping):
            raise self._wrong(name, f"it is a table: [{parent + '.' if parent else ''}{name}]")
        return value

    def _wrong(self, name: str, why: str) -> UsageError:
        head = re.compile(rf"""\s*(\[.*\b)?["']?{re.escape(name)}["']?\s*[]=.]""")
        at = next((n for n, line in enumerate(self._lines, 1) if head.match(line)), None)
        return UsageError(f"{self._path}{f', line {at}' if at else ''}: {name}: {why}")

    def _title(self, name: str, value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value.strip()) <= 100:
            raise self._wrong(name, "a text of at most 100 characters is expected")
        return value.strip()

    def _flag(self, name: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self._wrong(name, f"true or false is expected, not {value!r}")
        return value

    def _file(self, name: str, value: Any) -> Path:
        if not isinstance(value, str) or not value:
            raise self._wrong(name, "a path is expected, relative to this file")
        return self._path.parent / value

    def _samples(self, name: str, value: Any) -> Path:
        folder = self._file(name, value)
        if not folder.is_dir():
            raise self._wrong(name, f"there is no folder {folder}")
        return folder

    def _logo(self, name: str, value: Any) -> tuple[bytes, str]:
        path = self._file(name, value)
        media = _LOGOS.get(path.suffix.lower())
        if media is None:
            raise self._wrong(name, f"a logo is a file {', '.join(_LOGOS)}, not {path.name}")
        data = self._bytes(name, path)
        if len(data) > _LOGO_BYTES:
            raise self._wrong(name, f"{path.name} has {len(data):,} bytes, at most {_LOGO_BYTES:,}")
        return data, media

    def _bytes(self, name: str, path: Path) -> bytes:
        try:
            return read_regular(path)
        except OSError as error:
            raise self._wrong(name, f"{path} can't be read: {error.strerror or error}") from None

    def _language(self, name: str, value: Any) -> tuple[str, Mapping[str, Any]]:
        if value in (*LANGUAGES, "auto"):
            return value, {}
        if not isinstance(value, str) or not value.endswith(".json"):
            known = ", ".join(map(repr, LANGUAGES))
            raise self._wrong(name, f"it is {known}, 'auto' or a JSON file of texts, not {value!r}")
        path = self._file(name, value)
        try:
            texts = parse_json(self._bytes(name, path))
        except ValueError as error:
            raise self._wrong(name, f"{path} isn't JSON: {error}") from None
        if not isinstance(texts, dict):
            raise self._wrong(name, f"{path} isn't a JSON object of texts")
        tag = texts.pop("language", path.stem)
        if not isinstance(tag, str) or not _TAG.fullmatch(tag):
            raise self._wrong(name, f"{path} says its language by a tag such as 'fr', not {tag!r}")
        problem = text_problem(texts) or next(problems(texts, page_texts("en")), None)
        if problem:
            raise self._wrong(name, f"{path}: {problem}")
        return tag, {tag: texts}

    def _colors(
        self, given: Mapping[str, Any], table: str, own: Mapping[str, str]
    ) -> dict[str, str]:
        chosen = self.table("service", given, table)
        self.check_names(f"service.{table}", chosen, set(own))
        for name, value in chosen.items():
            if not isinstance(value, str) or not _HEX.fullmatch(value):
                raise self._wrong(name, f"a colour is like #7a1f4b, not {value!r}")
        every = {**own, **chosen}
        for text, ground, least in _PAIRS:
            has = contrast(every[text], every[ground])
            if has < least and (text in chosen or ground in chosen):
                name = text if text in chosen else ground
                raise self._wrong(
                    name,
                    f"{text} {every[text]} on {ground} {every[ground]} of [service.{table}] has a "
                    f"contrast of {has:.1f}, and {least} is needed to be read (WCAG 2.2 AA)",
                )
        return dict(chosen)


def page_texts(language: str) -> dict[str, Any]:
    """The page's own texts in one of `LANGUAGES`."""
    texts: dict[str, Any] = json.loads((TEXTS / f"{language}.json").read_text(encoding="utf-8"))
    return texts


def problems(texts: Any, own: Any, at: str = "") -> Iterator[str]:
    """What is wrong with texts that stand in for the page's ``own``; those they lack stay."""
    if isinstance(own, dict) and "other" not in own:
        if not isinstance(texts, dict):
            yield f"{at}: an object of texts is expected"
            return
        for name, value in texts.items():
            if name in own:
                yield from problems(value, own[name], f"{at}.{name}" if at else name)
            else:
                yield f"{f'{at}.' if at else ''}{name} is no text of the page. {nearest(name, own)}"
        return
    if isinstance(own, list):
        if not isinstance(texts, list) or len(texts) != len(own):
            yield f"{at}: a list of {len(own)} is expected"
            return
        for number, value in enumerate(texts):
            yield from problems(value, own[number], f"{at}.{number}")
        return
    plural = isinstance(own, dict)
    forms = texts.values() if plural and isinstance(texts, dict) and "other" in texts else [texts]
    expected = own["other"] if plural else own
    for form in forms:
        if not isinstance(form, str):
            yield f"{at}: a text{' or its forms with other' if plural else ''} is expected"
        elif _names(form) != _names(expected):
            yield f"{at} has to have {', '.join(sorted(_names(expected))) or 'no names in braces'}"


def _names(text: str) -> set[str]:
    return set(re.findall(r"\{\w+\}", text))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, from 1 to 21. Source: WCAG 2.2, relative luminance."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    shares = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(part * value for part, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
