"""A shop's settings file: title, logo, colours, language and samples of its page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from hemline.cli import main
from hemline.errors import UsageError
from hemline.service import run
from hemline.service.settings import Settings
from hemline.service.shop_file import DARK, LIGHT, ShopPage, contrast, read_shop_file, shop_page
from hemline.service.shop_page import ShopFiles

PAGE = Path(str(files("hemline.service"))) / "page"
WHOLE = """
[service]
title = "Mode & Töchter"
logo = "logo.svg"
language = "de"
samples = "photos"
judging = false
photo_links = true

[service.colors]
accent = "#7a1f4b"
[service.dark]
accent = "#f5b3d3"
"""


def written(folder: Path, text: str) -> Path:
    (folder / "logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "photos").mkdir(exist_ok=True)
    path = folder / "hemline.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_whole_file(tmp_path: Path) -> None:
    page = read_shop_file(written(tmp_path, WHOLE))
    assert (page.title, page.language) == ("Mode & Töchter", "de")
    assert page.logo == (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml")
    assert page.samples == tmp_path / "photos"
    assert (page.judging, page.photo_links) == (False, True)
    assert (page.colors, page.dark) == ({"accent": "#7a1f4b"}, {"accent": "#f5b3d3"})


def test_a_folder_without_a_file(tmp_path: Path) -> None:
    assert shop_page(tmp_path) == ShopPage()
    with pytest.raises(UsageError, match=r"other.toml can't be read: No such file"):
        shop_page(tmp_path, tmp_path / "other.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[service]\ntitel = 'x'", "line 2: titel: no setting of [service]. Did you mean 'title'?"),
        ("[servise]", "line 1: servise: no setting of the file. Did you mean 'service'?"),
        ("service = 3", "line 1: service: it is a table: [service]"),
        ("[service]\ntitle = \n", "isn't TOML: Invalid value (at line 2, column 9)"),
        ("a = " + "[" * 3000, "isn't TOML: it is nested too deeply, more than 64 levels"),
        ('[service]\nlogo = "x\\u0000.svg"', "hemline.toml: 'x\\x00.svg' has a NUL character"),
        ("[service]\n\ntitle = 3", "line 3: title: a text of at most 100 characters"),
        ("[service]\njudging = 'no'", "line 2: judging: true or false is expected, not 'no'"),
        ("[service]\nlogo = 'x.svg'", "x.svg can't be read: No such file"),
        ("[service]\nlogo = 'x.gif'", "line 2: logo: a logo is a file .svg, .png, .jpg, .webp"),
        ("[service]\nsamples = 'none'", "line 2: samples: there is no folder"),
        ("[service]\nlanguage = 'fr'", "'en', 'de', 'auto' or a JSON file of texts, not 'fr'"),
        ("[service.colors]\nacent = '#fff'", "no setting of [service.colors]. Did you mean 'acc"),
        ("[service.colors]\nink = 'red'", "line 2: ink: a colour is like #7a1f4b, not 'red'"),
        ("[service.colors]\nsoft = '#aaa'", "soft #aaa on ground #fbfaf7 of [service.colors] has"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as error:
        read_shop_file(written(tmp_path, text))
    assert told in str(error.value)
    assert str(tmp_path / "hemline.toml") in str(error.value)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ("{", "isn't JSON"),
        ("[]", "isn't a JSON object"),
        ("[" * 100_000, "isn't JSON: it is nested too deeply, more than 64 levels"),
        ('{"title": "\\ud800"}', "has half of a surrogate pair"),
        ('{"titel": "x"}', "titel is no text of the page. Did you mean 'title'?"),
        ('{"alike": {"sam": "x"}}', "alike.sam is no text of the page. Did you mean 'same'?"),
        ('{"alike": "x"}', "alike: an object of texts is expected"),
        ('{"whyTitle": "Pourquoi ?"}', "whyTitle has to have {title}"),
        ('{"close": "{title}"}', "close has to have no names in braces"),
        ('{"found": {"other": "produits"}}', "found has to have {n}"),
        ('{"close": 3}', "close: a text is expected"),
        ('{"places": []}', "places: a list of 3 is expected"),
        ('{"language": "x y"}', "by a tag such as 'fr'"),
    ],
)
def test_wrong_texts_are_named(tmp_path: Path, texts: str, told: str) -> None:
    (tmp_path / "fr.json").write_text(texts)
    with pytest.raises(UsageError) as error:
        read_shop_file(written(tmp_path, "[service]\nlanguage = 'fr.json'"))
    assert told in str(error.value)
    assert "line 2: language" in str(error.value)


def test_another_language(tmp_path: Path) -> None:
    own = {"close": "Fermer", "alike": {"same": "Le même"}}
    (tmp_path / "fr.json").write_text(json.dumps(own))
    shop = ShopFiles(read_shop_file(written(tmp_path, "[service]\nlanguage = 'fr.json'")))
    data, kind = shop.get("texts/fr.json") or (b"", "")
    texts = json.loads(data)
    assert kind == "application/json"
    assert (texts["close"], texts["alike"]["same"]) == ("Fermer", "Le même")
    assert texts["alike"]["similar"] == "Similar", "what it lacks is English"
    assert shop.language("de") == "fr"


def test_the_language_of_the_browser() -> None:
    shop = ShopFiles(ShopPage(language="auto"))
    asked = {"de-AT,de;q=0.9,en;q=0.8": "de", "fr,en;q=0.5,de;q=0.9": "de", "": "en", "fr": "en"}
    assert {tags: shop.language(tags) for tags in asked} == asked
    assert shop.language("en;q=x,,;q=,*;q=0,de;q=0") == "en"


def test_the_colours_are_those_of_the_page() -> None:
    css = (PAGE / "css/base.css").read_text(encoding="utf-8")
    light, dark = css.split("@media (prefers-color-scheme: dark)")
    for block, colors in ((light, LIGHT), (dark, DARK)):
        told = dict(re.findall(r"--([\w-]+): (#\w+);", block))
        assert {name: told[name] for name in colors} == colors
    assert contrast("#000", "#ffffff") == pytest.approx(21)


def test_what_is_served(open_client: Any, tmp_path: Path) -> None:
    page = read_shop_file(written(tmp_path, WHOLE))
    client = open_client(page=page, judging=page.judging)
    html = client.get("/").text
    assert '<html lang="de">' in html
    assert "<title>Mode &amp; Töchter</title>" in html
    assert 'alt="Mode &amp; Töchter"' in html
    assert "static/texts/de.json" in html
    assert client.get("/static/shop/logo").headers["content-type"].startswith("image/svg+xml")
    css = client.get("/static/shop/colors.css").text
    assert "(prefers-color-scheme: light) { :root { --accent: #7a1f4b; } }" in css
    texts = client.get("/static/texts/de.json").json()
    assert (texts["name"], texts["title"]) == ("Mode & Töchter", "Mode & Töchter")
    assert client.get("/v1/info").json()["page"]["judging"] is False
    first = client.get("/", headers={"If-None-Match": client.get("/").headers["etag"]})
    assert first.status_code == 304


def test_the_command_reads_it(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Settings] = []
    monkeypatch.setattr(run, "serve", lambda settings, *_: given.append(settings))
    assert main(["serve", str(shop)]) == 0
    written(shop, WHOLE)
    assert main(["serve", str(shop)]) == 0
    assert main(["serve", str(shop), "--judging", "--samples", "x"]) == 0
    plain, file, options = given
    assert plain == replace(plain, judging=True, photo_links=False, samples=None, page=ShopPage())
    assert (file.judging, file.photo_links, file.samples) == (False, True, shop / "photos")
    assert (options.judging, options.samples) == (True, Path("x")), "options win"
    other = shop / "other.toml"
    other.write_text("[service]\ntitle = 3")
    assert main(["serve", str(shop), "--settings", str(other)]) == 2
