"""Everything that an acknowledged state needs is synced before it is acknowledged.

SQLite syncs its own file, so it is left out where nothing else does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.small_shop import manifest
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.runtime.bundle import Bundle


class Disk:
    """Which files and folders were synced, by inode, and which names appeared after what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: set[int] = set()
        self.unsynced: list[str] = []
        fsync = os.fsync

        def sync(descriptor: int) -> None:
            self.synced.add(os.fstat(descriptor).st_ino)
            fsync(descriptor)

        def moving(move: Callable[..., None]) -> Callable[..., None]:
            def moved(source: Path, target: Path) -> None:
                within = [Path(source), *Path(source).rglob("*")]
                self.unsynced += [f"{target}: {p}" for p in within if not self.has(p)]
                move(source, target)
                self.synced.discard(Path(target).parent.stat().st_ino)

            return moved

        monkeypatch.setattr(os, "fsync", sync)
        monkeypatch.setattr(os, "replace", moving(os.replace))
        monkeypatch.setattr(os, "rename", moving(os.rename))

    def has(self, path: Path) -> bool:
        return path.stat().st_ino in self.synced

    def lacks(self, folder: Path) -> list[str]:
        """What lies in a folder, and the folder itself, without having been synced."""
        return [p.name for p in (folder, *folder.rglob("*")) if not self.has(p)]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_new_catalogue(tmp_path: Path, disk: Disk) -> None:
    Catalog.create(tmp_path / "shop", Bundle.open(make_tiny_bundle(tmp_path / "bundle"))).close()
    assert disk.unsynced == []
    assert disk.lacks(tmp_path / "shop/bundle") == []
    assert disk.has(tmp_path / "shop/catalog.sqlite")
    assert disk.has(tmp_path)


def test_copies_and_vectors_of_an_add(tmp_path: Path, disk: Disk) -> None:
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    with Catalog.create(tmp_path / "shop", bundle) as catalog:
        catalog.add(manifest(tmp_path / "data", 8))
        assert disk.unsynced == []
        assert disk.lacks(tmp_path / "shop/pictures") == []
        assert disk.lacks(tmp_path / "shop/segments") == []
        assert disk.has(tmp_path / "shop")


def test_a_rebuild_before_it_is_live(tmp_path: Path, disk: Disk) -> None:
    new = Bundle.open(make_tiny_bundle(tmp_path / "new", seed=9))
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    with Catalog.create(tmp_path / "shop", bundle) as catalog:
        catalog.add(manifest(tmp_path / "data", 8))
        catalog.rebuild(new)
    assert disk.unsynced == []
    assert disk.lacks(tmp_path / "shop/rebuilt-1/bundle") == []
    assert disk.lacks(tmp_path / "shop/rebuilt-1/segments") == []
    assert disk.has(tmp_path / "shop/live")
    assert disk.has(tmp_path / "shop")


def test_a_backup_and_an_export(tmp_path: Path, disk: Disk) -> None:
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    with Catalog.create(tmp_path / "shop", bundle) as catalog:
        catalog.add(manifest(tmp_path / "data", 8))
        (tmp_path / "copies").mkdir()
        catalog.backup(tmp_path / "copies/backup")
        assert disk.lacks(tmp_path / "copies") == []
        catalog.export(tmp_path / "copies/items.parquet")
        assert disk.lacks(tmp_path / "copies") == []
    assert [move for move in disk.unsynced if "/.backup.backup/" not in move] == []


def test_a_shorter_copy_of_an_interrupted_backup_is_copied_again(tmp_path: Path) -> None:
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    with Catalog.create(tmp_path / "shop", bundle) as catalog:
        catalog.add(manifest(tmp_path / "data", 8))
        copies = sorted((tmp_path / "shop/pictures").rglob("*.jpg"))
        left = tmp_path / ".backup.backup/pictures" / copies[0].parent.name / copies[0].name
        left.parent.mkdir(parents=True)
        left.touch()
        catalog.backup(tmp_path / "backup")
    for copy in copies:
        same = tmp_path / "backup" / copy.relative_to(tmp_path / "shop")
        assert same.read_bytes() == copy.read_bytes()
