"""Several manifests as one."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

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


def test_nothing_to_join() -> None:
    with pytest.raises(UsageError, match="nothing to join"):
        join([])
