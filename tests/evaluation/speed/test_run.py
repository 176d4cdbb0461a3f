from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector
from hemline.catalog.catalog import Catalog
from hemline.errors import ImageError, UsageError
from hemline.evaluation.machine import machine, processor
from hemline.evaluation.speed import run
from hemline.evaluation.speed.made import fill, made_photo, made_vectors
from hemline.evaluation.speed.public_parts import PublicParts
from hemline.progress import no_advance
from hemline.runtime.bundle import Bundle
from hemline.search.engine import Engine

FEW = run.SpeedOptions(images=300, repeats=2, embedded=3)


@pytest.fixture(autouse=True)
def small_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LARGE", (400, 300))


def tiny(folder: Path, *, detector: bool = True, reranks: bool = True) -> Bundle:
    make_tiny_bundle(folder, reranks=reranks)
    if detector:
        put_tiny_detector(folder)
    return Bundle.open(folder)


def test_every_step_has_a_figure_on_both_sides(tmp_path: Path) -> None:
    found = run.measure(tiny(tmp_path / "bundle"), FEW)
    assert list(found["steps"]) == list(run.STEPS)
    for row in (*found["steps"].values(), *found["large"]["steps"].values()):
        for side in ("hemline", "public_parts"):
            assert 0 <= row[side]["p50_ms"] <= row[side]["p95_ms"]
    whole = found["steps"]["whole"]
    ratio = whole["hemline"]["p50_ms"] / whole["public_parts"]["p50_ms"]
    assert whole["ratio"] == pytest.approx(ratio, abs=0.01)
    assert (found["large"]["width"], found["large"]["height"]) == (400, 300)
    assert found["embedding"]["hemline"]["images_per_s"] > 0
    assert found["recall@40"] == {"hemline": 1.0, "public_parts": 1.0}
    assert found["machine"]["processor"] == processor()


def test_without_detector_and_reranker(tmp_path: Path) -> None:
    found = run.measure(tiny(tmp_path / "bundle", detector=False, reranks=False), FEW)
    assert not {"detect", "whole_detected"} & set(found["steps"])
    assert found["bundle"]["detector"] is None


def test_the_parts_find_what_the_engine_finds(tmp_path: Path) -> None:
    bundle = tiny(tmp_path / "bundle")
    fill(tmp_path / "shop", bundle, 300)
    parts = PublicParts(bundle, 300, 1, no_advance)
    with Catalog.open(tmp_path / "shop") as catalog:
        engine = Engine(catalog, threads=1)
        photo = made_photo(160, 120)
        query = engine.encoder.encode_street([np.asarray(PIL.Image.open(io.BytesIO(photo)))])
        ids = catalog.store.search(query.embedding[0], 10).ids
        rows = catalog.store.take(ids)
    assert [f"i{n}" for n in parts.search(query.embedding[0], 10)[0]] == [
        row.image_id for row in rows if row is not None
    ]


def test_made_vectors_and_photos_are_the_same_each_time() -> None:
    one, again = (np.concatenate(list(made_vectors(8, 6_000))) for _ in range(2))
    assert one.shape == (6_000, 8)
    np.testing.assert_array_equal(one, again)
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1.0, rtol=1e-5)
    photo = made_photo(320, 240)
    assert photo == made_photo(320, 240)
    assert photo != made_photo(320, 240, seed=1)
    assert 0.1 < len(photo) / (320 * 240) < 0.5  # bytes a pixel, as in photos


@pytest.mark.parametrize("wrong", [{"images": 0}, {"repeats": 0}, {"threads": 0}])
def test_numbers_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        run.SpeedOptions(**wrong)


def test_a_photo_that_cannot_be_opened_is_told_at_once(tmp_path: Path) -> None:
    options = run.SpeedOptions(images=10**9, photo=tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="does not exist"):
        run.measure(tiny(tmp_path / "bundle"), options)


def test_the_machine_names_its_processor() -> None:
    info = Path("/proc/cpuinfo")
    named = info.is_file() and "model name" in info.read_text("utf-8", "replace")
    assert machine()["processor"]
    if named:
        assert machine()["processor"].split(",")[0] in info.read_text("utf-8", "replace")


@pytest.mark.parametrize(("threads", "rests"), [(1, {0.0}), (2, {run._REST})])
def test_threads_that_spin_after_a_run_do_not_disturb_the_other_side(
    threads: int, rests: set[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed before: with two threads hemline's graphs took twice their time beside the parts'."""
    asked: set[float] = set()
    monkeypatch.setattr(run.time, "sleep", asked.add)
    run.measure(tiny(tmp_path / "bundle"), replace(FEW, threads=threads))
    assert asked == rests
