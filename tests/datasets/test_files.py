"""Which pictures are there, and which lie outside the data, by name or by a link."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.published import plant
from hemline.datasets import READERS
from hemline.datasets._files import (
    EMPTY,
    GOOD,
    MISSING,
    NO_FILE,
    OUTSIDE,
    file_states,
    find_pictures,
    fullest,
    leaves,
)


@pytest.mark.parametrize(
    "path", ["../a.jpg", "a/../../b.jpg", "/etc/passwd", "C:\\a.jpg", "..", "a\\..\\b", "\\\\x\\y"]
)
def test_names_that_leave(path: str) -> None:
    assert leaves(path)


@pytest.mark.parametrize("path", ["a.jpg", "a/b..jpg", "..a/b", "a/.../b", "a:b", "é/服.jpg"])
def test_names_that_stay(path: str) -> None:
    assert not leaves(path)


def test_states(tmp_path: Path) -> None:
    root = tmp_path / "data"
    plant(root, "a/good.jpg", "b/inner.jpg")
    plant(tmp_path, "out/secret.jpg")
    (root / "a/empty.jpg").write_bytes(b"")
    (root / "a/folder.jpg").mkdir()
    (root / "a/link.jpg").symlink_to(root / "b/inner.jpg")
    (root / "a/out.jpg").symlink_to(tmp_path / "out/secret.jpg")
    (root / "away").symlink_to(tmp_path / "out")
    (root / "a/loop.jpg").symlink_to(root / "a/loop.jpg")
    paths = {
        "a/good.jpg": GOOD,
        "a/empty.jpg": EMPTY,
        "a/folder.jpg": NO_FILE,
        "a/none.jpg": MISSING,
        "a/link.jpg": GOOD,
        "a/out.jpg": OUTSIDE,
        "away/secret.jpg": OUTSIDE,
        "../out/secret.jpg": OUTSIDE,
        str(tmp_path / "out/secret.jpg"): OUTSIDE,
        "a/loop.jpg": MISSING,
        "a\0b": MISSING,
        "x" * 5000: MISSING,
    }
    assert file_states(str(root), list(paths)).tolist() == list(paths.values())
    followed = dict(zip(paths, file_states(str(root), list(paths), False).tolist(), strict=True))
    assert followed["a/out.jpg"] == followed["away/secret.jpg"] == GOOD
    assert followed["../out/secret.jpg"] == OUTSIDE
    free = dict(zip(paths, file_states(str(root), list(paths), None).tolist(), strict=True))
    assert free["../out/secret.jpg"] == free[str(tmp_path / "out/secret.jpg")] == GOOD


def test_a_root_that_is_a_link(tmp_path: Path) -> None:
    plant(tmp_path / "disk", "a.jpg")
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    assert file_states(str(tmp_path / "data"), ["a.jpg"]).tolist() == [GOOD]


def test_the_fullest_folder(tmp_path: Path) -> None:
    plant(tmp_path, "one/a.jpg", "two/a.jpg", "two/b.jpg")
    folders = [tmp_path / "one", tmp_path / "two"]
    assert fullest(folders, ["a.jpg", "b.jpg"]) == folders[1]
    assert fullest(folders, ["a.jpg"]) == folders[0]
    assert fullest(folders, []) == folders[0]


def test_links_between_folders_end(tmp_path: Path) -> None:
    """Six folders that each hold links to all others: of the 1,956 ways 156 are walked."""
    root = tmp_path / "data"
    names = [f"f{k}" for k in range(6)]
    for name in names:
        plant(root, f"{name}/picture.jpg")
    for name in names:
        for other in names:
            if other != name:
                (root / name / f"to_{other}").symlink_to(root / other)
    left: list[str] = []
    found = list(find_pictures(root, False, left))
    assert found[0] == "f0/picture.jpg"
    assert len(found) == len(set(found)) == 6 + 6 * 5 + 6 * 5 * 4
    assert left


def test_a_folder_tells_links_that_lead_out(tmp_path: Path) -> None:
    plant(tmp_path / "out", "18/b.jpg")
    plant(tmp_path / "shop", "17/a.jpg")
    (tmp_path / "shop/disk").symlink_to(tmp_path / "out")
    (tmp_path / "shop/17/c.jpg").symlink_to(tmp_path / "out/18/b.jpg")
    manifest, report = READERS["folder"].read(tmp_path / "shop")
    assert manifest.column("path").tolist() == ["17/a.jpg"]
    assert (report.listed, report.found, report.broken) == (2, 1, 1)
    assert any("1 links to folders aren't followed, as 'disk'" in note for note in report.notes)
    manifest, _ = READERS["folder"].read(tmp_path / "shop", links="follow")
    assert manifest.column("path").tolist() == ["17/a.jpg", "17/c.jpg", "disk/18/b.jpg"]
