"""The page of results: what it shows, that it needs no other file, and that leaks are marked."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from helpers.colour_shop import make_colour_shop
from helpers.toy_encoder import ToyEncoder
from hemline.cli import main
from hemline.data.manifest import Manifest
from hemline.data.protocol import Published
from hemline.datasets import build
from hemline.evaluation.api import full_report
from hemline.evaluation.run import evaluate
from hemline.evaluation.stored import read_results
from hemline.views.chart import Line, line_chart
from hemline.views.report_parts import by_number
from hemline.views.run_report import write_report

LABELS = {
    "attribute_map": 0.25, "attribute_types": {"colour": {"map": 0.375}},
    "landmark_error": 0.0625, "landmarks": {"left_hem": {"nme": 0.125, "images": 9}},
}  # fmt: skip
SAYS = "LEAK: 3 of 60 queries were trained on"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    shop = make_colour_shop(root / "shop", products=30)
    (part,) = build("default", shop)
    paper = (Published("A paper", "Their model", "recall@20", 0.37, "other photos"),)
    part = replace(part, gallery_sizes=(10, 20), published=paper)
    (root / "results").mkdir()
    for name, reranks in (("first <b>", False), ("second", True)):
        outcome = evaluate(ToyEncoder(reranks, name), part)
        found = full_report([outcome], [], ["clutter"], 0) | {"started_from": "random weights"}
        if name == "second":
            found["training_overlap"] = {"queries": 3, "says": SAYS}
            found["labels"] = LABELS
        (root / f"results/{name[:6].strip()}.json").write_text(json.dumps(found))
    return root


@pytest.fixture(scope="module")
def page(place: Path) -> str:
    path = place / "report.html"
    asked = ["report", str(place / "results"), "-o", str(path), "--images", str(place / "shop")]
    assert main(asked) == 0
    return path.read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Fails on tags that aren't closed in their order; notes addresses and ids."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        found = dict(attrs)
        self.addresses += [str(found[n]) for n in ("src", "href", "xlink:href") if n in found]
        self.ids += [str(found["id"])] if "id" in found else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_has_every_part_and_needs_no_other_file(page: str) -> None:
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert outline.addresses
    assert all(address.startswith("data:image/") for address in outline.addresses)
    assert len(set(outline.ids)) == len(outline.ids)
    assert "http" not in re.sub(r"data:image[^\"]*", "", page)
    titles = re.findall("<h2>(.*?)</h2>", page)
    for title in ("Figures", "Recall", "Size of the gallery", "Shared tags", "Groups",
                  "Attributes and landmarks", "Time of a search", "Worst queries",
                  "Published figures", "Provenance"):  # fmt: skip
        assert title in titles
    assert any(title.startswith("Found first by") for title in titles)
    assert any(title.startswith("Not found first by") for title in titles)
    assert page.count('<li class="right') > 6  # judged frames
    assert "NDCG@20" in page
    assert "By category" in page
    assert "By clutter" in page
    assert "<td>random weights</td>" in page


def test_groups_of_numbers_stand_in_their_order_and_words_as_they_come() -> None:
    assert by_number(["2 to 4", "5 to 7", "0 to 2", "1e+01 to 20"]) == [
        "0 to 2", "2 to 4", "5 to 7", "1e+01 to 20",
    ]  # fmt: skip
    assert by_number(["10", "9", "-1.5"]) == ["-1.5", "9", "10"]
    assert by_number(["skirt", "2 to 4", "dress"]) == ["skirt", "2 to 4", "dress"]


def test_figures_are_those_of_the_results(place: Path, page: str) -> None:
    for one in read_results([place / "results"]):
        for name, (low, high) in one.found["intervals"].items():
            cell = f"<b>{one.found[name]:.3f}</b><small>{low:.3f} – {high:.3f}</small>"
            assert cell in page, name
        steps = one.found["ladder"]
        ratio = steps[0]["recall@20"] / steps[-1]["recall@20"] - 1
        assert f"<td>{ratio:+.1%}</td>" in page


def test_predicted_labels_and_the_time_of_a_search_are_those_of_the_results(
    place: Path, page: str
) -> None:
    assert '<th scope="row">colour</th><td>0.375</td>' in page
    assert '<th scope="row">left_hem</th><td>0.125</td>' in page
    for one in read_results([place / "results"]):
        search = one.found["search"]
        assert search["dimensions"] == 3
        assert f"<td>{search['processor_seconds_per_1000']:.3f}</td>" in page


def test_a_leak_is_marked_wherever_its_result_is_shown(page: str) -> None:
    assert f'role="note"><b>second</b> {SAYS}' in page
    for part in re.findall('<table>.*?</table>|<ul class="legend">.*?</ul>', page):
        if "second" in part and "less" not in part:
            assert "second (LEAK)" in part


def test_names_are_text_and_no_markup(page: str) -> None:
    assert "first &lt;b&gt;" in page
    assert "first <b>" not in page


def test_earlier_results_have_figures_and_no_sheets(place: Path, tmp_path: Path) -> None:
    old: dict[str, Any] = json.loads((place / "results/second.json").read_text())
    del old["rankings"], old["training_overlap"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    shop = Manifest.read(place / "shop")
    write_report(tmp_path / "old.html", read_results([tmp_path / "old.json"]), shop)
    text = (tmp_path / "old.html").read_text(encoding="utf-8")
    assert "<h2>Recall</h2>" in text
    assert "Worst queries" not in text
    assert "Paired differences" not in text


def test_what_does_not_fit_is_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = str(place / "results")
    assert main(["report", results, "-o", str(place / "report.pdf")]) == 2
    assert ".html" in capsys.readouterr().err
    other = make_colour_shop(place / "other", products=5)
    assert len(other) == 15
    asked = ["report", results, "-o", str(place / "x.html"), "--images", str(place / "other")]
    assert main(asked) == 2
    assert "fingerprint differs" in capsys.readouterr().err


def test_a_chart_places_its_points(tmp_path: Path) -> None:
    lines = [Line("a & b", [(1, 0.0), (10, 0.5), (100, 1.0)]), Line("c", [(10, 1.0)])]
    drawn = line_chart("n", "What", lines, "k", "recall")
    (first,) = re.findall('<polyline points="(56.*?)"', drawn)
    assert first == "56.0,334.0 398.0,174.0 740.0,14.0"
    assert "a &amp; b, 10: 0.500" in drawn
    assert "<td>–</td>" in drawn
    assert line_chart("n", "One", [Line("x", [(5, 0.02)])], "k", "recall").count("<circle") == 2


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_without_a_fault(place: Path, page: str, scheme: str) -> None:
    """No request leaves it, axe finds no violation, and a telephone scrolls nothing sideways."""
    # In a thread of its own: a browser of other tests may be open in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(look_at, place / "report.html", scheme).result()


def look_at(report: Path, scheme: str) -> None:
    from helpers.chromium import chromium
    from helpers.page_acts import violations

    with chromium() as browser:
        context = browser.new_context(viewport={"width": 390, "height": 800}, color_scheme=scheme)
        opened = context.new_page()
        asked: list[str] = []
        opened.on("request", lambda request: asked.append(request.url))
        opened.on("console", lambda message: asked.append(message.text))
        opened.goto(report.as_uri())
        assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
        assert opened.evaluate("document.documentElement.scrollWidth") == 390
        opened.locator("summary").first.click()
        assert opened.locator("details table").first.is_visible()
        assert violations(opened) == []
        context.close()
