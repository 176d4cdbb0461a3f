"""Making a data set: resumable, the same with any number of workers, refused when it differs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from hemline.data.manifest import Manifest
from hemline.errors import DataError, UsageError
from hemline.synthetic import DISTURBANCES, SyntheticSettings, make_dataset
from hemline.synthetic import make as make_module
from hemline.synthetic.cutout import cut_out

SMALL = SyntheticSettings(size=64)


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_manifest_and_pictures(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = make_dataset(
        tmp_path / "d", 6, 1, SMALL, workers=1, progress=lambda a, b: seen.append((a, b))
    )
    rows = pq.read_table(path).to_pylist()
    assert len(rows) == 18
    assert seen[-1] == (6, 6)
    for row in rows:
        image = cv2.imread(str(tmp_path / "d" / row["path"]))
        assert image is not None
        assert image.shape == (64, 64, 3)
        assert row["split"] in ("train", "val", "test")
        assert len(row["landmarks"]) == 24
        assert f"category={row['category']}" in row["tags"]
        assert 0 <= row["x1"] < row["x2"] <= 64
        assert all(isinstance(row[name], float) for name in DISTURBANCES)
    assert {row["domain"] for row in rows} == {"street", "shop"}
    note = json.loads((tmp_path / "d" / "synthetic.json").read_text())
    assert note["pictures"] == 18
    assert note["complete"] is True
    assert len(Manifest.read(path)) == 18
    assert not (tmp_path / "d" / ".journal").exists()


def test_a_folder_made_before_the_rename_still_grows(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    make_dataset(old, 2, 2, SMALL, workers=1)
    note = json.loads((old / "synthetic.json").read_text())
    (old / "atelier.json").write_text(json.dumps(note | {"format": "hemline-atelier"}))
    (old / "synthetic.json").unlink()
    grown = Manifest.read(make_dataset(old, 4, 2, SMALL, workers=1))
    fresh = Manifest.read(make_dataset(new, 4, 2, SMALL, workers=1))
    assert grown.fingerprint() == fresh.fingerprint()
    assert json.loads((old / "synthetic.json").read_text())["products"] == 4


def test_interrupted_goes_on_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    make_dataset(whole, 5, 2, SMALL, workers=1)
    real = make_module._write_image
    drawn: list[str] = []

    def killed(path: Path, drawing: object) -> None:
        if len(drawn) == 7:
            path.with_name(f".{path.name}.tmp").write_bytes(b"half")
            raise KeyboardInterrupt
        drawn.append(path.name)
        real(path, drawing)  # type: ignore[arg-type]

    monkeypatch.setattr(make_module, "_write_image", killed)
    with pytest.raises(KeyboardInterrupt):
        make_dataset(cut, 5, 2, SMALL, workers=1)
    assert not (cut / "manifest.parquet").exists()
    journal = next((cut / ".journal").glob("*.jsonl"))
    with open(journal, "a") as lines:
        lines.write('{"key": "2-str')  # a line cut short

    def counted(path: Path, drawing: object) -> None:
        drawn.append(path.name)
        real(path, drawing)  # type: ignore[arg-type]

    monkeypatch.setattr(make_module, "_write_image", counted)
    make_dataset(cut, 5, 2, SMALL, workers=1)
    assert len(drawn) == len(set(drawn)) == 15
    assert fingerprint(cut) == fingerprint(whole)


def test_a_killed_process_goes_on(tmp_path: Path) -> None:
    """A real kill at any moment: what is there is kept, and the end is the same."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    make_dataset(whole, 24, 6, SMALL, workers=1)
    code = (
        "from pathlib import Path\n"
        "from hemline.synthetic import SyntheticSettings, make_dataset\n"
        f"make_dataset(Path({str(cut)!r}), 24, 6, SyntheticSettings(size=64), workers=1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while len(list(cut.rglob("*.jpg"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = {p.name: p.stat().st_mtime_ns for p in cut.rglob("*.jpg")}
    assert len(kept) >= 4
    make_dataset(cut, 24, 6, SMALL, workers=1)
    again = [p for p in cut.rglob("*.jpg") if kept.get(p.name) not in (None, p.stat().st_mtime_ns)]
    assert len(again) <= 1  # the one between its place and its journal
    assert fingerprint(cut) == fingerprint(whole)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are POSIX")
def test_workers_end_when_only_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "draw.py"
    script.write_text(
        "from pathlib import Path\n"
        "from hemline.synthetic import SyntheticSettings, make_dataset\n"
        "if __name__ == '__main__':\n"
        f"    out, settings = Path({str(tmp_path / 'cut')!r}), SyntheticSettings(size=64)\n"
        "    make_dataset(out, 400, 6, settings, workers=2)\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.rglob("*.jpg"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    ended = False
    deadline = time.monotonic() + 20
    while not ended and time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        except ProcessLookupError:
            ended = True
    assert ended


def test_workers_do_not_change_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    make_dataset(one, 34, 3, SMALL, workers=1, street_views=1)
    make_dataset(two, 34, 3, SMALL, workers=2, street_views=1)
    assert fingerprint(one) == fingerprint(two)


def test_a_second_run_does_nothing_and_more_products_extend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown, fresh = tmp_path / "grown", tmp_path / "fresh"
    make_dataset(grown, 3, 4, SMALL, workers=1)
    make_dataset(fresh, 6, 4, SMALL, workers=1)
    real = make_module._write_image
    drawn: list[str] = []

    def counted(path: Path, drawing: object) -> None:
        drawn.append(path.name)
        real(path, drawing)  # type: ignore[arg-type]

    monkeypatch.setattr(make_module, "_write_image", counted)
    make_dataset(grown, 3, 4, SMALL, workers=1)
    assert drawn == []
    make_dataset(grown, 6, 4, SMALL, workers=1)
    assert len(drawn) == 9
    assert fingerprint(grown) == fingerprint(fresh)


def test_other_settings_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "d"
    make_dataset(out, 2, 1, SMALL, workers=1)
    with pytest.raises(UsageError, match="other settings .*noise 0.4 there, 0.9 now"):
        make_dataset(out, 2, 1, SyntheticSettings(size=64, noise=0.9), workers=1)
    with pytest.raises(UsageError, match="other settings .*seed"):
        make_dataset(out, 2, 2, SMALL, workers=1)
    with pytest.raises(UsageError, match="2 products, more than 1"):
        make_dataset(out, 1, 1, SMALL, workers=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        make_dataset(tmp_path / "full", 2, 1, SMALL, workers=1)
    with pytest.raises(UsageError, match="products must be at least 1"):
        make_dataset(tmp_path / "x", 0, 1, SMALL)


def photo(seed: int, plain: bool = True) -> np.ndarray:
    """A 'photo' of a shirt on a floor (BGR)."""
    rng = np.random.default_rng(seed)
    picture = np.full((200, 160, 3), (170, 190, 200), np.uint8)
    picture = np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    if plain:
        shirt = np.array(
            [
                (60, 40),
                (100, 40),
                (140, 80),
                (122, 98),
                (108, 84),
                (108, 165),
                (52, 165),
                (52, 84),
                (38, 98),
                (20, 80),
            ]
        )
        cv2.fillPoly(picture, [shirt], (40 + 30 * seed % 80, 50, 160))
        cv2.circle(picture, (80, 95), 14, (230, 220, 60), -1)
    return picture


def photo_folder(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    lines = ["image,sender_id,label,kids,width,height"]
    for k, label in enumerate(["T-Shirt", "Longsleeve", "Shoes", "Dress"]):
        cv2.imwrite(str(folder / "images" / f"a{k}.jpg"), photo(k, plain=k != 3))
        lines.append(f"a{k},1,{label},False,160,200")
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_photos_give_both_sides(tmp_path: Path) -> None:
    shelf = photo_folder(tmp_path / "photos")
    path = make_dataset(tmp_path / "d", 10, 1, SMALL, photos=shelf, workers=1)
    rows = pq.read_table(path).to_pylist()
    assert {row["source"] for row in rows} == {"images/a0.jpg", "images/a1.jpg"}
    assert {row["category"] for row in rows} == {"t-shirt", "longsleeve"}
    assert len(rows) == 6
    for row in rows:
        assert {tag.split("=")[0] for tag in row["tags"]} == {"category", "color"}
        assert row["x2"] - row["x1"] > 5
        assert not any(row["landmarks"])
    again = make_dataset(tmp_path / "e", 10, 1, SMALL, photos=shelf, workers=1)
    assert fingerprint(path.parent) == fingerprint(again.parent)


def test_a_cut_out_finds_the_garment_or_says_none() -> None:
    found = cut_out(np.ascontiguousarray(photo(1)[..., ::-1]))
    assert found is not None
    h, w = found.alpha.shape
    assert abs(h / w - 125 / 120) < 0.12
    assert cut_out(photo(1, plain=False)) is None
    assert cut_out(np.zeros((20, 20, 3), np.uint8)) is None


def test_a_folder_without_photos_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        make_dataset(tmp_path / "d", 1, 1, SMALL, photos=tmp_path / "none", workers=1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no garment photo"):
        make_dataset(tmp_path / "d", 1, 1, SMALL, photos=tmp_path / "empty", workers=1)
