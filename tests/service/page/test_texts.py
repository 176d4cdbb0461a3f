"""The page's words: every language has the same texts, and the page speaks the one it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from helpers.page_acts import begin, found, titles, violations
from helpers.page_stub import Stub

PAGE = Path(str(files("hemline"))) / "service" / "page"
LANGUAGES = sorted(path.stem for path in (PAGE / "texts").glob("*.json"))
SCRIPTS = "\n".join(path.read_text(encoding="utf-8") for path in (PAGE / "js").glob("*.js"))
HTML = (PAGE / "index.html").read_text(encoding="utf-8")


def messages(language: str) -> Any:
    return json.loads((PAGE / "texts" / f"{language}.json").read_text(encoding="utf-8"))


def leaves(value: Any, at: str = "") -> Iterator[tuple[str, frozenset[str]]]:
    """Each text by its address, with its placeholders; plural forms are one text."""
    if isinstance(value, str):
        yield at, frozenset(re.findall(r"\{(\w+)\}", value))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from leaves(one, f"{at}.{number}")
    elif "other" in value:
        for form in value.values():
            yield from leaves(form, at)
    else:
        for name, one in value.items():
            yield from leaves(one, f"{at}.{name}" if at else name)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_the_same_texts_and_placeholders(language: str) -> None:
    assert set(leaves(messages(language))) == set(leaves(messages("en")))


def test_every_text_is_used_and_every_used_one_is_there() -> None:
    named = set(re.findall(r"\btexts\.(\w+)", SCRIPTS)) | set(re.findall(r'data-t="(\w+)"', HTML))
    quoted = set(re.findall(r'"(\w+)"', SCRIPTS))
    own = set(messages("en"))
    assert named - own - {"js"} == set()
    assert own - named - quoted == set()


def test_no_words_stand_in_the_scripts() -> None:
    """A text in two places would stay English in one of them."""
    code = re.sub(r"^ *//.*$", "", SCRIPTS, flags=re.MULTILINE)
    assert re.findall(r'"([A-Z][a-z]+ [^"]*)"', code) == []


def test_the_page_speaks_german(page: Any, shop: Stub) -> None:
    shop.language = "de"
    begin(page, shop)
    assert page.inner_text("#found-title") == "Das haben wir gefunden"
    assert page.inner_text("#count") == "Die 24 besten"
    assert page.get_by_role("button", name="Rock", exact=True).count() == 1
    price = page.locator(".product .price").first.inner_text().replace("\xa0", " ")
    assert re.fullmatch(r"\d+,\d\d €", price)
    page.goto(f"{shop.url}/?sample=a-coat&f.category=dress")
    found(page)
    assert page.inner_text("#count") == "15 Produkte"
    assert titles(page)
    assert violations(page) == []
