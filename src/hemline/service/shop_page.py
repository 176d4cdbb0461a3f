"""What the page's files become with a shop's settings: head, texts, colours, logo."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from hemline.service.shop_file import LANGUAGES, ShopPage, page_texts

_MARK = '<a class="mark" href="./" id="home" data-t="name"></a>'
_LOGO = "shop/logo"
_COLORS = "shop/colors.css"


class ShopFiles:
    """The files that stand in for those of the package, by the names of ``/static``."""

    def __init__(self, page: ShopPage) -> None:
        self._page = page
        self._languages = tuple(dict.fromkeys([*LANGUAGES, *page.texts]))
        own = {} if not page.title else {"name": page.title, "title": page.title}
        self._files: dict[str, tuple[bytes, str]] = {}
        for language in self._languages:
            texts = {**_texts(language, page.texts), **own}
            data = json.dumps(texts, ensure_ascii=False).encode()
            self._files[f"texts/{language}.json"] = (data, "application/json")
        if page.logo:
            self._files[_LOGO] = page.logo
        if page.colors or page.dark:
            self._files[_COLORS] = (_css(page).encode(), "text/css")

    def get(self, name: str) -> tuple[bytes, str] | None:
        """A file's bytes and media type."""
        return self._files.get(name)

    def language(self, accepted: str) -> str:
        """The page's language for a browser's ``Accept-Language``."""
        if self._page.language != "auto":
            return self._page.language
        for tag in _preferred(accepted):
            for language in self._languages:
                if tag in (language, "*") or tag.split("-")[0] == language:
                    return language
        return LANGUAGES[0]

    def html(self, data: bytes, accepted: str) -> bytes:
        """The search page's HTML as the shop wants it; its scripts do the rest."""
        page, language = self._page, self.language(accepted)
        text = data.decode().replace('<html lang="en">', f'<html lang="{language}">', 1)
        text = text.replace("static/texts/en.json", f"static/texts/{language}.json", 1)
        if page.title:
            text = text.replace("<title>Find it in the shop", f"<title>{escape(page.title)}", 1)
        if page.logo:
            name = escape(page.title or "hemline", quote=True)
            logo = f'<img class="logo" src="static/{_LOGO}" alt="{name}">'
            text = text.replace(_MARK, f'<a class="mark" href="./" id="home">{logo}</a>', 1)
        if _COLORS in self._files:
            text = text.replace(
                "</head>", f'<link rel="stylesheet" href="static/{_COLORS}">\n</head>'
            )
        return text.encode()


def _texts(language: str, other: Mapping[str, Any]) -> dict[str, Any]:
    """The texts of a language; those that a shop's own file lacks are English."""
    own = page_texts(language if language in LANGUAGES else LANGUAGES[0])
    merged: dict[str, Any] = _merged(own, other.get(language, {}))
    return merged


def _merged(own: Any, texts: Any) -> Any:
    if isinstance(own, dict) and isinstance(texts, dict) and "other" not in own:
        return {name: _merged(value, texts.get(name, value)) for name, value in own.items()}
    return texts


def _css(page: ShopPage) -> str:
    rules = []
    for scheme, colors in (("light", page.colors), ("dark", page.dark)):
        if colors:
            values = " ".join(f"--{name}: {value};" for name, value in colors.items())
            rules.append(f"@media (prefers-color-scheme: {scheme}) {{ :root {{ {values} }} }}")
    return "\n".join(rules) + "\n"


def _preferred(accepted: str) -> list[str]:
    """Language tags of ``Accept-Language``, the preferred first."""
    found = []
    for number, part in enumerate(accepted[:1000].split(",")):
        tag, _, weight = part.strip().partition(";q=")
        try:
            found.append((-float(weight or 1), number, tag.strip().lower()))
        except ValueError:
            continue
    return [tag for weight, _, tag in sorted(found) if tag and weight]
