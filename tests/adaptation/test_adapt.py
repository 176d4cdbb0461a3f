from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hemline
from helpers.shifted_shop import make_shifted_shop
from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector
from hemline.adaptation.sources import Sample, Sources, add_feedback
from hemline.bundle import read_info, write_info
from hemline.cli import main
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.data.seen import Seen
from hemline.errors import BundleError, DataError, UsageError
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles, shops, and the bundle ``new`` that was adapted."""
    root = tmp_path_factory.mktemp("adapt")
    make_tiny_bundle(root / "plain", tags=False, reranks=False)
    make_tiny_bundle(root / "tiny")
    make_shifted_shop(root / "shop")
    make_shifted_shop(root / "easy", mixed=False)
    report = hemline.adapt(root / "tiny", root / "shop", root / "new")
    (root / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def report(place: Path) -> dict[str, Any]:
    return json.loads((place / "report.json").read_text(encoding="utf-8"))


def test_a_street_domain_of_other_colours_is_brought_to_the_shops(report: dict[str, Any]) -> None:
    # Over ten seeds of the folds recall@1 rises from 0.03 to 0.40 or more.
    assert report["better"]
    assert report["written"]
    assert report["difference"]["mrr"]["low"] > 0.1
    assert report["after"]["recall@1"]["value"] > report["before"]["recall@1"]["value"] + 0.15
    assert (report["queries"], report["items"], report["gallery"]) == (60, 30, 30)


def test_the_new_bundle_has_its_own_fingerprint_and_the_old_one_stays(
    place: Path, report: dict[str, Any]
) -> None:
    new, old = hemline.Bundle.open(place / "new"), hemline.Bundle.open(place / "tiny")
    assert new.fingerprint == report["fingerprint"] != old.fingerprint
    assert (new.info.format_version, old.info.format_version) == (2, 1)
    assert new.info.name == "tiny-adapted"
    assert not new.info.reranks
    assert not (place / "new/rerank.onnx").exists()
    assert new.info.quality[0]["mrr"] == report["after"]["mrr"]["value"]
    assert "0.03" in (place / "new/README.md").read_text(encoding="utf-8")
    assert "maps" not in json.loads((place / "tiny/bundle.json").read_text(encoding="utf-8"))


def test_an_adapted_bundle_takes_the_detector_of_another(place: Path, tmp_path: Path) -> None:
    other = make_tiny_bundle(tmp_path / "other")
    words = ["adapt", str(place / "tiny"), str(place / "shop"), "--detector", str(other)]
    assert main([*words, "-o", str(tmp_path / "new")]) == 1  # before anything is encoded
    info = put_tiny_detector(other)
    assert main([*words, "-o", str(tmp_path / "new"), "--photos", "20"]) == 0
    new = hemline.Bundle.open(tmp_path / "new")
    assert new.info.detector == info.detector
    assert new.session("detector", 1)
    assert "of another bundle" in (tmp_path / "new/README.md").read_text(encoding="utf-8")


def test_the_new_bundle_carries_what_it_was_fitted_to(place: Path, report: dict[str, Any]) -> None:
    rows = Manifest.read(place / "shop")
    seen = BundleEncoder(Bundle.open(place / "new")).seen
    assert seen is not None
    fitted = rows.select(rows.column("split") != "test")
    wanted = Seen.of(fitted, np.arange(len(fitted)), np.zeros(0, np.int64))
    assert set(seen.images.tolist()) == set(wanted.images.tolist())
    assert set(seen.items.tolist()) == set(wanted.items.tolist())
    assert seen.unrecorded == ("tiny",)  # whose own training nobody recorded


def test_the_encoder_applies_the_maps(place: Path, report: dict[str, Any]) -> None:
    encoder = hemline.load(place / "new")
    photos = [place / "shop" / f"i0{k}_1.png" for k in range(3)]
    found = encoder.embed_street(photos)
    assert found.shape == (3, encoder.embedding_dim) == (3, report["embedding_dim"])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    maps = encoder.bundle.maps
    assert maps is not None
    raw = encoder.outputs([open_image(photo) for photo in photos], "street")
    mapped = raw["features"] @ maps.street_weight.T + maps.street_bias
    mapped /= np.linalg.norm(mapped, axis=1, keepdims=True)
    expected = mapped if maps.querybank is None else maps.querybank.street(mapped)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert encoder.embed_shop([place / "shop/i00_0.png"], [["colour=red"]]).shape == (
        1,
        encoder.embedding_dim,
    )
    assert encoder.embed_street([]).shape == (0, encoder.embedding_dim)


def test_a_catalogue_is_rebuilt_with_it_and_finds_more(place: Path, tmp_path: Path) -> None:
    shop = hemline.Manifest.read(place / "shop")
    goods = shop.select(np.asarray(shop.column("domain")) == "shop")
    with hemline.Catalog.create(tmp_path / "catalog", hemline.Bundle.open(place / "tiny")) as made:
        made.add(goods)
        made.rebuild(hemline.Bundle.open(place / "new"))
    right = {}
    with hemline.Catalog.open(tmp_path / "catalog") as catalog:
        assert catalog.store.dim == catalog.bundle.info.embedding_dim
        engine = hemline.Engine(catalog)
        photos = [(f"i{k:02d}", place / "shop" / f"i{k:02d}_1.png") for k in range(30)]
        right = [engine.search(file, 1).hits[0].item_id == item for item, file in photos]
    assert sum(right) >= 15


def test_a_bundle_that_gains_nothing_is_not_written(place: Path, tmp_path: Path) -> None:
    target = tmp_path / "new"
    found = hemline.adapt(place / "plain", place / "easy", target)
    assert not found["better"]
    assert not found["written"]
    assert not target.exists()
    forced = hemline.adapt(place / "plain", place / "easy", target, force=True, name="mine")
    assert forced["written"]
    assert forced["name"] == "mine"
    file = place / "easy/i03_1.png"
    same = (
        hemline.load(target).embed_street(file) @ hemline.load(place / "plain").embed_street(file).T
    )
    assert forced["method"] == {"name": "none"}
    assert same[0, 0] == pytest.approx(1, abs=1e-5)


def test_no_folder_is_overwritten(place: Path) -> None:
    before = (place / "tiny/bundle.json").read_bytes()
    with pytest.raises(UsageError, match="already there"):
        hemline.adapt(place / "tiny", place / "shop", place / "tiny")
    assert (place / "tiny/bundle.json").read_bytes() == before


def test_an_adapted_bundle_is_adapted_again_from_its_towers(place: Path, tmp_path: Path) -> None:
    found = hemline.adapt(place / "new", place / "shop", tmp_path / "again", force=True)
    assert found["before"]["mrr"]["value"] > 0.6  # with the maps that saw these products
    again = hemline.Bundle.open(tmp_path / "again")
    first = hemline.Bundle.open(place / "new")
    assert again.maps is not None
    assert first.maps is not None
    assert again.maps.street_weight.shape == first.maps.street_weight.shape


def test_damaged_or_lost_maps_are_refused(place: Path, tmp_path: Path) -> None:
    copy = hemline.Bundle.open(place / "new").copy_to(tmp_path / "copy")
    maps = copy.folder / "maps.npz"
    good = maps.read_bytes()
    maps.write_bytes(good[:-100] + bytes(100))
    with pytest.raises(BundleError, match="not those it was written with"):
        hemline.Bundle.open(copy.folder)
    with pytest.raises(BundleError, match=r"maps\.npz can't be read"):
        _ = hemline.Bundle.open(copy.folder, check=False).maps
    maps.unlink()
    with pytest.raises(BundleError, match=r"lacks maps\.npz"):
        hemline.Bundle.open(copy.folder)
    maps.write_bytes(good)
    info = read_info(copy.folder)
    write_info(copy.folder, info.model_copy(update={"embedding_dim": 3}))
    with pytest.raises(BundleError, match="onto 3 numbers"):
        _ = hemline.Bundle.open(copy.folder).maps


def test_too_few_products_and_none_with_photos(place: Path, tmp_path: Path) -> None:
    make_shifted_shop(tmp_path / "few", items=9)
    with pytest.raises(DataError, match="9 items have both .* at least 10 are needed"):
        hemline.adapt(place / "plain", tmp_path / "few", tmp_path / "new")
    make_shifted_shop(tmp_path / "single", photos=0)
    with pytest.raises(DataError, match="no street photos, and 0 items have several"):
        hemline.adapt(place / "plain", tmp_path / "single", tmp_path / "new")
    made = hemline.adapt(place / "plain", tmp_path / "single", tmp_path / "new", force=True)
    assert made["written"]
    assert not made["measured"]
    assert hemline.load(tmp_path / "new").embed_street(tmp_path / "single/i00_0.png").shape[0] == 1


def test_a_catalogue_alone_uses_several_images_of_a_product(place: Path, tmp_path: Path) -> None:
    make_shifted_shop(tmp_path / "shop", photos=0, shots=3, mixed=False)
    found = hemline.adapt(place / "plain", tmp_path / "shop", tmp_path / "new", force=True)
    assert found["without_photos"]
    assert (found["queries"], found["gallery"]) == (90, 90)
    assert found["before"]["recall@1"]["value"] > 0.5  # by another image, not by itself


def test_feedback_without_photos_is_counted_and_left_out(place: Path, tmp_path: Path) -> None:
    shop = hemline.Manifest.read(place / "shop")
    lines = []
    for row, record in enumerate(shop):
        if record.domain == "street":
            photo = base64.b64encode(shop.file(row).read_bytes()).decode()
            triplet = {
                "search_id": record.path,
                "anchor": {"item_id": None, "box": None, "photo": photo},
                "positive": {"item_id": record.item_id, "image_id": "x"},
                "negative": {"item_id": "other", "image_id": "y"},
            }
            lines += [triplet, triplet]  # of two negatives
    lines.append(triplet | {"search_id": "a", "anchor": {"photo": None}})
    lines.append(triplet | {"search_id": "b", "positive": {"item_id": "gone"}})
    # A right first hit, and a wrong one without a right one.
    lines.append(lines[0] | {"negative": None, "negative_is": "none"})
    lines.append(lines[0] | {"positive": None, "negative": {"item_id": "i29", "image_id": "y"}})
    file = tmp_path / "feedback.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    goods = shop.select(np.asarray(shop.column("domain")) == "shop")
    found = hemline.adapt(place / "tiny", goods, tmp_path / "new", feedback=file)
    counts = found["counts"]
    assert (counts["feedback"], counts["feedback_without_photo"]) == (62, 1)
    assert (counts["feedback_of_unknown_items"], counts["feedback_negatives"]) == (1, 1)
    assert found["queries"] == 60
    assert found["written"]
    for line in ('{"search_id": 1}', "[" * 100_000):
        file.write_text(f"{line}\n", encoding="utf-8")
        with pytest.raises(DataError, match="line 1: no triplet"):
            hemline.adapt(place / "tiny", goods, tmp_path / "other", feedback=file)


def test_rows_of_the_test_split_are_left_alone(place: Path, tmp_path: Path) -> None:
    shop = hemline.Manifest.read(place / "shop")
    table = shop.table.set_column(
        shop.table.column_names.index("split"), "split",
        [["test" if r.domain == "street" and r.item_id < "i05" else "" for r in shop]],
    )  # fmt: skip
    some = hemline.Manifest.from_table(table, shop.root)
    assert hemline.adapt(place / "tiny", some, tmp_path / "a", force=True)["items"] == 25
    assert hemline.adapt(place / "tiny", some, tmp_path / "b", split="all")["items"] == 30


def test_the_command_in_the_light_install(place: Path, tmp_path: Path) -> None:
    """Neither PyTorch nor onnx is needed."""
    script = (
        "import sys; sys.modules.update(torch=None, onnx=None, cv2=None, sklearn=None); "
        "from hemline.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["adapt", str(place / "tiny"), str(place / "shop"), "-o", str(tmp_path / "new")]
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        env={**os.environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "60 photos of 30 products" in done.stdout
    assert f"catalog rebuild CATALOG --bundle {tmp_path / 'new'}" in done.stdout
    assert (tmp_path / "new/maps.npz").is_file()


def test_the_command_ends_with_1_where_nothing_is_gained(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["adapt", str(place / "plain"), str(place / "easy"), "-o", str(tmp_path / "new")]
    assert main([*words, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["better"], found["written"]) == (False, False)
    assert main(words) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["adapt", str(place / "plain"), "-o", str(tmp_path / "new")]) == 2


def test_products_that_were_wrong_stay_in_the_gallery() -> None:
    shop = [Sample(Path(f"{n}.jpg"), f"item{n}", f"{n}.jpg") for n in range(50)]
    sources = Sources(street=[Sample(b"", "item0", "photo")], shop=shop)
    said = {"search_id": "s", "anchor": {"photo": None}, "positive": None}
    add_feedback(sources, [said | {"negative": {"item_id": f"item{n}"}} for n in (7, 33, 99)])
    sources.limited(photos=20, gallery=5, seed=0)
    kept = {sample.item for sample in sources.shop}
    assert len(kept) == 5
    assert kept > {"item0", "item7", "item33"}


def test_a_catalogue_gives_its_images_and_its_service_the_feedback(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("starlette")
    from hemline.service.journal import Journal, Search

    shop = hemline.Manifest.read(place / "shop")
    goods = shop.select(np.asarray(shop.column("domain")) == "shop")
    catalog = tmp_path / "catalog"
    with hemline.Catalog.create(catalog, hemline.Bundle.open(place / "tiny")) as made:
        made.add(goods)
    journal = Journal(catalog / "service", days=30)
    for row, record in enumerate(shop):
        if record.domain == "street":
            photo = shop.file(row).read_bytes() if row % 3 == 1 else None  # every second one
            hits = (("i29", "i29_0.png", 0.9), (record.item_id, "x", 0.8), ("i28", "y", 0.7))
            journal.note(Search(record.path, {"like": None, "box": None}, hits, {}, photo))
            journal.judge(record.path, record.item_id, True)
    journal.close()
    words = ["adapt", str(place / "tiny"), "--catalog", str(catalog), "-o", str(tmp_path / "new")]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # Also i29's, which were first: they have no negative, and so no triplet.
    assert (found["counts"]["feedback"], found["counts"]["feedback_without_photo"]) == (60, 30)
    assert found["counts"]["feedback_negatives"] == 1  # i29, which was passed over
    assert found["counts"]["shop_images"] == 30
    assert (found["queries"], found["gallery"]) == (30, 30)
    assert main(["catalog", "rebuild", str(catalog), "--bundle", str(tmp_path / "new")]) == 0
