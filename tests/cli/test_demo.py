from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from hemline.bundle import read_info, write_info
from hemline.catalog.catalog import Catalog
from hemline.cli import demo, main
from hemline.data.manifest import Manifest
from hemline.demo import likeness
from hemline.demo.check import MARGIN, PROTOCOL, check, floors_of
from hemline.demo.shop import Shop, open_shop, trained_crop
from hemline.errors import DataError, UsageError
from hemline.evaluation import calibrate as calibration
from hemline.runtime.bundle import Bundle
from hemline.search.engine import Engine
from hemline.service.settings import Settings

PRODUCTS = 12


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a small shop in it, and a bundle beside it."""
    root = tmp_path_factory.mktemp("demo")
    bundle = Bundle.open(make_tiny_bundle(root / "bundle"))
    open_shop(bundle, products=PRODUCTS, folder=root / "home/demo", workers=1).catalog.close()
    return root


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "place")
    monkeypatch.setenv("HEMLINE_HOME", str(tmp_path / "place/home"))
    return tmp_path / "place"


def reopened(place: Path) -> Shop:
    return open_shop(
        Bundle.open(place / "bundle"), products=PRODUCTS, folder=place / "home/demo", workers=1
    )


def run(place: Path, *options: str) -> int:
    return main(["demo", "--bundle", str(place / "bundle"), "--products", str(PRODUCTS), *options])


def test_the_check_prints_one_object_and_the_floor_decides_the_status(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(place, "--check", "--json", "--queries", "8", "--floor", "1") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["passed"]
    assert result["recall@20"] == 1.0  # 12 products: every one is among the first 20
    assert (result["queries"], result["gallery_products"]) == (8, PRODUCTS)
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p95"]
    assert result["protocol"]["name"] == PROTOCOL


def test_a_bundle_that_promises_nothing_does_not_pass(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(place, "--check") == 1
    assert "no recorded recall" in capsys.readouterr().err


def test_what_was_recorded_is_the_promise_and_worse_fails(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_info(place / "bundle").fingerprint
    assert run(place, "--record") == 0
    info = read_info(place / "bundle")
    assert info.fingerprint == before
    assert [entry["protocol"] for entry in info.quality] == [PROTOCOL]
    assert run(place, "--record") == 0
    assert len(read_info(place / "bundle").quality) == 1
    assert run(place, "--check") == 0
    better = {**info.quality[0], "recall@5": info.quality[0]["recall@5"] + MARGIN + 0.01}
    write_info(place / "bundle", info.model_copy(update={"quality": [better]}))
    capsys.readouterr()
    assert run(place, "--check", "--json") == 1
    assert not json.loads(capsys.readouterr().out)["passed"]


def test_a_promise_of_another_shop_is_no_promise_of_this_one(place: Path) -> None:
    assert run(place, "--record") == 0
    info = read_info(place / "bundle")
    with reopened(place).catalog as catalog:
        shop = reopened(place)
        assert floors_of(info, shop, queries=12)
        assert not floors_of(info, shop, queries=7)
        other = {**info.quality[0], "search": "the photo and every garment found in it"}
        assert not floors_of(info.model_copy(update={"quality": [other]}), shop, queries=12)
        shop.catalog.close()
        assert catalog.stats()["items"] == PRODUCTS


def test_the_second_run_draws_and_embeds_nothing(place: Path) -> None:
    images = place / "home/demo"
    before = {path: path.stat().st_mtime_ns for path in images.rglob("*.jpg")}
    shop = reopened(place)
    shop.catalog.close()
    assert shop.added == 0
    assert {path: path.stat().st_mtime_ns for path in images.rglob("*.jpg")} == before


def test_a_catalogue_of_an_older_hemline_is_made_anew(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr("hemline.catalog.stores.sqlite.FORMAT_VERSION", 1)
        old = reopened(place)
        old.catalog.close()
        assert old.added == PRODUCTS
    shop = reopened(place)
    shop.catalog.close()
    assert shop.added == 0  # this version's own lies beside the older one
    assert shop.catalog.folder != old.catalog.folder


def test_a_bundle_that_learned_more_gets_a_catalogue_of_its_own(place: Path) -> None:
    info = read_info(place / "bundle")
    write_info(place / "bundle", info.model_copy(update={"summary": "finds garments, too"}))
    shop = reopened(place)
    shop.catalog.close()
    assert shop.added == PRODUCTS
    assert shop.catalog.bundle.info.summary == "finds garments, too"


def test_a_shop_left_unfinished_is_finished(place: Path) -> None:
    catalog = next((place / "home/demo").glob("catalog-*"))
    shop = reopened(place)
    items = sorted(set(shop.manifest.column("item_id").tolist()))
    shop.catalog.remove(items[:5])
    shop.catalog.close()
    again = reopened(place)
    assert again.added == 5
    assert again.catalog.stats()["items"] == PRODUCTS
    assert str(again.catalog.folder) == str(catalog)
    again.catalog.close()


def test_a_damaged_picture_says_what_to_delete(place: Path) -> None:
    shutil.rmtree(next((place / "home/demo").glob("catalog-*")))
    next((place / "home/demo").rglob("*-shop-0.jpg")).write_bytes(b"broken")
    with pytest.raises(DataError, match="delete .*shop-12"):
        reopened(place)


def test_photos_for_a_person_become_a_page_and_a_picture(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.delenv("CI", raising=False)
    assert run(place, "--photos", "3", "--no-serve", "-o", str(place / "out")) == 0
    page = (place / "out/demo.html").read_text(encoding="utf-8")
    assert page.count("<section") == 3
    assert page.count("the product</span>") == 3
    assert "data-heat" in page
    assert (place / "out/demo.png").stat().st_size > 10_000
    assert opened == [(place / "out/demo.html").resolve().as_uri()]
    assert "3 photos against 12 products" in capsys.readouterr().out


def test_at_a_terminal_it_ends_in_serving_the_shop(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hemline.service import run as running

    opened: list[str] = []
    served: list[Settings] = []

    def serve(settings: Settings, ready: Callable[[str], None], around: object) -> None:
        served.append(settings)
        ready("http://127.0.0.1:8123")

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(running, "serve", serve)
    monkeypatch.delenv("CI", raising=False)
    assert run(place, "--photos", "2", "--port", "8123", "-o", str(place / "out")) == 0
    assert opened == ["http://127.0.0.1:8123"]
    (settings,) = served
    assert (settings.port, settings.local) == (8123, True)
    assert settings.samples is not None
    assert len(list(settings.samples.iterdir())) == PRODUCTS
    with Catalog.open(settings.catalog) as catalog:
        assert catalog.store.counts().items == PRODUCTS


@pytest.mark.parametrize("taken", [True, False])
def test_without_a_port_it_takes_the_usual_one_or_a_free_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    from hemline.service import run as running

    served: list[int] = []

    def serve(settings: Settings, ready: Callable[[str], None], around: object) -> None:
        served.append(settings.port)

    monkeypatch.setattr(running, "serve", serve)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        usual = other.getsockname()[1]
        other.listen()
        monkeypatch.setattr(demo, "_PORT", usual)
        if not taken:
            other.close()
        demo._serve(tmp_path / "catalog", [], None, opening=False)
        assert served == [0 if taken else usual]
        demo._serve(tmp_path / "catalog", [], usual, opening=False)
        assert served[1:] == [usual], "a port that is asked for isn't changed"


def test_the_shop_is_calibrated_once_on_its_own_photos(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed before: the demo's page had no words of likeness, whatever its bundle could tell."""
    searched: list[int] = []

    def advance(done: int, total: int) -> None:
        searched.append(done)

    with reopened(place).catalog as catalog:
        shop = reopened(place)
        assert "no score has a share" in likeness.measure(shop, advance=advance), "too few photos"
        assert searched.pop() == PRODUCTS
        searched.clear()
        assert "no score has a share" in likeness.measure(shop, advance=advance)
        assert not searched, "it is tried once"
        (note,) = (place / "home/demo").glob("*-likeness.txt")
        note.unlink()
        monkeypatch.setattr(calibration, "LEAST", 1)
        monkeypatch.setattr(calibration, "SHARES", {"same": 0.02, "similar": 0.01})
        assert likeness.measure(shop, advance=advance) == ""
        searched.clear()
        assert likeness.measure(shop, advance=advance) == ""
        assert not searched
        shop.catalog.close()
        row = int(shop.photos[0])
        folder = catalog.folder
    assert folder is not None
    with Catalog.open(folder) as again:
        hits = Engine(again).search(shop.manifest.file(row)).hits
        assert {hit.alike for hit in hits} & {"same", "similar"}


@pytest.mark.parametrize("ci", [True, False])
def test_without_a_terminal_or_with_ci_it_checks(
    place: Path, ci: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: ci, raising=False)
    monkeypatch.setenv("CI", "true") if ci else monkeypatch.delenv("CI", raising=False)
    assert run(place, "--floor", "0", "--json") == 0
    assert json.loads(capsys.readouterr().out)["protocol"]["name"] == PROTOCOL


def test_bad_use(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--record"]) == 2
    assert "--bundle" in capsys.readouterr().err
    assert main(["demo", "--bundle", str(place / "nothing")]) == 1
    with pytest.raises(UsageError, match="two products"):
        open_shop(Bundle.open(place / "bundle"), products=1, folder=place)


def test_the_box_is_used_where_the_bundle_was_trained_on_boxes(place: Path) -> None:
    info = read_info(place / "bundle")
    assert trained_crop(info) == "none"
    on_boxes = {"recipe": {"data": {"crop": "box"}}}
    write_info(place / "bundle", info.model_copy(update={"training": on_boxes}))
    shop = reopened(place)
    assert shop.added == PRODUCTS  # a catalogue of its own
    assert shop.box(int(shop.photos[0])) == shop.manifest[int(shop.photos[0])].box
    result = check(shop, queries=4)
    assert result["protocol"]["crop"].startswith("box")
    shop.catalog.close()


def test_the_check_agrees_with_evaluation(place: Path) -> None:
    from hemline.data.protocol import Choices
    from hemline.data.relevance import match_items
    from hemline.evaluation.model import open_encoder
    from hemline.evaluation.run import evaluate

    shop = reopened(place)
    result = check(shop, queries=PRODUCTS)
    manifest: Manifest = shop.manifest
    shops = np.flatnonzero(manifest.column("domain") == "shop")
    said = {"queries": "", "gallery": "", "items": ""}
    protocol = match_items("demo", manifest, shop.photos, shops, Choices(), said)
    outcome = evaluate(open_encoder(str(place / "bundle")), protocol)
    for k in (1, 5):
        assert result[f"recall@{k}"] == pytest.approx((outcome.ranks <= k).mean())
    shop.catalog.close()


def test_the_demo_needs_no_torch(place: Path) -> None:
    words = ["demo", "--check", "--floor", "0", "--products", str(PRODUCTS)]
    words += ["--bundle", str(place / "bundle")]
    script = (
        "import sys; from hemline.cli import main; "
        f"status = main({words!r}); "
        "sys.exit(7 if {'torch', 'timm', 'onnx', 'lightning'} & set(sys.modules) else status)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
