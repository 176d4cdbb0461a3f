"""The cache of fetched images while others use it."""

from __future__ import annotations

from pathlib import Path

from hemline.data.remote.cache import RemoteCache


def test_a_file_that_has_just_left_is_not_counted(tmp_path: Path) -> None:
    """Failed before: one image's temporary file, renamed meanwhile, lost another image."""
    (tmp_path / "ab").mkdir()
    for name in ("1.image", "2.image"):
        (tmp_path / "ab" / name).write_bytes(b"x" * 100)
    (tmp_path / "ab" / "3.part").symlink_to(tmp_path / "gone")  # listed, and not there
    RemoteCache(tmp_path, max_bytes=1000, cache_bytes=150).added(100)
    assert len(list(tmp_path.glob("ab/*.image"))) == 1
