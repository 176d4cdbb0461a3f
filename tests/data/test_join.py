"""Several manifests as one."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from hemline.cli import main
from hemline.data.manifest import Manifest
from hemline.data.manifest.join import join
from hemline.errors import UsageError


def manifest(root: Path, **columns: list[object]) -> Manifest:
    table = {"path": ["a.jpg"], "item_id": ["x"], "domain": ["shop"], **columns}
    return Manifest.from_table(pa.table(table), root)


def test_join(tmp_path: Path) -> None:
    first = manifest(tmp_path / "one", tags=[["color=red"]], price=[1.5], note=["n"])
    second = manifest(tmp_path / "two", source=["worn"], price=["cheap"])
    both = join([("drawn", first), ("pairs", second)])
    assert both.column("item_id").tolist() == ["1/x", "2/x"]
    assert both.column("image_id").tolist() == ["1/a.jpg", "2/a.jpg"]
    assert both.column("source").tolist() == ["drawn", "worn"]
    assert both.column("note").tolist() == ["n", None]
    assert "price" not in both.names  # numbers there, words here
    assert both[0].tags == ("color=red",)
    assert both.files() == [tmp_path / "one/a.jpg", tmp_path / "two/a.jpg"]
    written = Manifest.read(both.write(tmp_path / "mixture.parquet"))
    assert written.column("path").tolist() == ["one/a.jpg", "two/a.jpg"]
    assert written.files() == both.files()


def test_kinds_of_a_source_with_enough_training_photos_have_values_of_their_own(
    tmp_path: Path,
) -> None:
    rows = [
        ("worn", "dress", "street", "train"),
        ("worn", "dress", "street", "train"),
        ("worn", "dress", "shop", "train"),
        ("worn", "coat", "street", "train"),
        ("worn", "coat", "street", "val"),
        ("worn", "coat", "shop", "train"),
        ("drawn", "dress", "street", "train"),
    ]
    names = ("source", "category", "domain", "split")
    columns: dict[str, list[object]] = {
        name: [row[place] for row in rows] for place, name in enumerate(names)
    }
    columns |= {"path": [f"{n}.jpg" for n in range(7)], "item_id": [str(n) for n in range(7)]}
    Manifest.from_table(pa.table(columns), tmp_path).write(tmp_path / "one.parquet")
    command = ["data", "join", str(tmp_path / "one.parquet"), "-o", str(tmp_path / "m.parquet")]
    assert main([*command, "--kinds", "2"]) == 0
    found = Manifest.read(tmp_path / "m.parquet").column("kind_of_source").tolist()
    assert found == ["worn/dress"] * 3 + ["worn/other"] * 3 + ["drawn/other"]
    assert main(command) == 0
    assert "kind_of_source" not in Manifest.read(tmp_path / "m.parquet").names


def test_nothing_to_join() -> None:
    with pytest.raises(UsageError, match="nothing to join"):
        join([])
