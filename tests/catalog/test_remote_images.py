"""Copies of images at an address of fsspec."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from helpers.small_shop import manifest
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.catalog.images import ImageStore
from hemline.catalog.remote_images import FILE, RemoteImages, open_images, place_images
from hemline.errors import CatalogError, DamageError, UsageError
from hemline.runtime.bundle import Bundle

pytest.importorskip("fsspec", reason="needs fsspec: pip install 'hemline[remote]'")
JPEGS = [bytes([number]) * (100 + number) for number in range(20)]


@pytest.fixture(params=["memory", "file"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}://{tmp_path / 'bucket' / 'shop'}"


def test_copies_are_as_in_a_folder(tmp_path: Path, address: str) -> None:
    here = ImageStore(tmp_path / "here")
    there = RemoteImages(tmp_path / "there", address)
    assert list(there.names()) == []
    digests = there.put(JPEGS)
    assert digests == here.put(JPEGS)
    assert there.put(JPEGS[:3]) == digests[:3]
    assert sorted(there.names()) == sorted(here.names())
    other = RemoteImages(tmp_path / "other", address)  # of another machine
    assert [other.path(digest).read_bytes() for digest in digests] == JPEGS
    assert other.read(digests[4]) == JPEGS[4]
    other.drop(digests[:2])
    other.drop(digests[:2])
    assert not other.path(digests[0]).exists()
    with pytest.raises(FileNotFoundError):
        there.read(digests[0])
    assert len(there.strays(digests[10:])) == 8
    assert other.sweep(digests[10:]) == 8
    assert sorted(there.names()) == sorted(digests[10:])
    assert not other.path(digests[4]).exists()
    with pytest.raises(CatalogError, match="40 hexadecimal"):
        there.path("../x")


def test_what_a_kill_left_of_a_copy_is_written_again(tmp_path: Path) -> None:
    there = RemoteImages(tmp_path / "there", f"file://{tmp_path / 'bucket'}")
    (digest,) = there.put(JPEGS[:1])
    (torn,) = (tmp_path / "bucket").rglob("*.jpg")
    torn.write_bytes(JPEGS[0][:7])
    there.put(JPEGS[:1])
    assert there.read(digest) == JPEGS[0]


def test_the_folder_keeps_the_copies_that_were_fetched_last(tmp_path: Path, address: str) -> None:
    there = RemoteImages(tmp_path / "there", address, most=500)
    digests = there.put(JPEGS)
    for digest in digests:
        there.path(digest)
    there.trim()
    held = list((tmp_path / "there").rglob("*.jpg"))
    assert 0 < sum(path.stat().st_size for path in held) <= 500
    assert [there.path(digest).read_bytes() for digest in digests] == JPEGS


def test_an_address_that_fails_is_tried_again_and_told_in_a_line(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hemline.catalog.remote_images._PAUSE", 0.0)
    there = RemoteImages(tmp_path / "there", address)
    original, failures = there._fs.pipe, [2]

    def failing(*given: Any, **options: Any) -> Any:
        if failures[0]:
            failures[0] -= 1
            raise ConnectionError("reset\nby peer")
        return original(*given, **options)

    monkeypatch.setattr(there._fs, "pipe", failing)
    digests = there.put(JPEGS)
    assert there.read(digests[7]) == JPEGS[7]
    failures[0] = 99
    with pytest.raises(CatalogError, match=r"can't be reached: reset by peer\. What was ack") as e:
        there.put([b"new"])
    assert "\n" not in str(e.value)


def test_wrong_addresses(tmp_path: Path, address: str) -> None:
    with pytest.raises(UsageError, match="no password"):
        place_images(tmp_path, "sftp://me:secret@host/shop")
    with pytest.raises(CatalogError, match="can't be opened"):
        place_images(tmp_path, "nothing://host/shop")
    RemoteImages(tmp_path / "pictures", address).put(JPEGS[:1])
    with pytest.raises(UsageError, match="has pictures already"):
        place_images(tmp_path, address)
    (tmp_path / FILE).write_text("[]")
    with pytest.raises(DamageError, match="address again"):
        open_images(tmp_path)


def test_no_flipped_bit_leads_to_another_address(tmp_path: Path, address: str) -> None:
    """The sweep of copies without a row would delete those of another catalogue."""
    place_images(tmp_path, address)
    whole = (tmp_path / FILE).read_bytes()
    for at in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        (tmp_path / FILE).write_bytes(flipped)
        try:
            found = open_images(tmp_path)
        except DamageError:
            continue
        assert isinstance(found, RemoteImages), at
        assert found.address == address, at
    (tmp_path / FILE).write_text(json.dumps({"address": address}))  # of an earlier version
    assert isinstance(open_images(tmp_path), RemoteImages)


def test_a_catalogue_keeps_its_copies_at_an_address(tmp_path: Path, address: str) -> None:
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    shop = manifest(tmp_path / "data", 6)
    with Catalog.create(tmp_path / "shop", bundle, pictures=address) as made:
        made.add(shop)
        rows = list(made.store.rows())
        assert made.check(deep=True).ok
    shutil.rmtree(tmp_path / "shop" / "pictures")  # as a copy of the folder elsewhere has it
    with Catalog.open(tmp_path / "shop") as opened:
        for row in rows:
            path = opened.image_path(row)
            assert path is not None
            assert path.is_file()
        opened.remove([rows[0].item_id])
        opened.sweep()
        left = {row.image_digest for row in opened.store.rows()}
        assert opened.images is not None
        assert set(opened.images.names()) == left
        with Catalog.create(tmp_path / "again", bundle) as again:
            opened.copy_to(again)
            assert again.check(deep=True).ok
            second = f"{address}-2"
            with Catalog.create(tmp_path / "third", bundle, pictures=second) as third:
                again.copy_to(third)
                assert third.check(deep=True).ok
        opened.backup(tmp_path / "backup")
    with Catalog.open(tmp_path / "backup") as kept:
        assert kept.check(deep=True).ok
