from __future__ import annotations

from pathlib import Path

import pytest

from hemline.files import write_whole


def test_writes_bytes_and_text_and_the_folders_above(tmp_path: Path) -> None:
    write_whole(tmp_path / "a/b/c.bin", b"\0\1")
    write_whole(tmp_path / "t.txt", "é\n")
    write_whole(tmp_path / "u.txt", "\udcff")
    assert (tmp_path / "a/b/c.bin").read_bytes() == b"\0\1"
    assert (tmp_path / "t.txt").read_bytes() == b"\xc3\xa9\n"
    assert (tmp_path / "u.txt").read_bytes() == b"\\udcff"


def test_what_was_there_outlives_a_write_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "kept.json"
    target.write_text("old")

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
    assert target.read_text() == "old"


def test_a_folder_in_its_place_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_whole(tmp_path / "x", "new")
    assert str(caught.value.filename2) == str(tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
