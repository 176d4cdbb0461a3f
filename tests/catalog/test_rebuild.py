from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hemline.catalog.maintenance.rebuild as rebuild_module
from helpers.acknowledged import acknowledged
from helpers.small_shop import manifest, state, write_picture
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog import folders, pointer
from hemline.catalog.catalog import Catalog
from hemline.catalog.intake.update import Attributes, ImageUpdate, ItemUpdate
from hemline.catalog.stores.sqlite import SqliteStore
from hemline.data.images import encode_jpeg, open_image
from hemline.errors import CatalogBusy, CatalogError
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder
from hemline.search.engine import Engine


@pytest.fixture
def old(tmp_path: Path) -> Bundle:
    return Bundle.open(make_tiny_bundle(tmp_path / "old"))


@pytest.fixture
def new(tmp_path: Path) -> Bundle:
    return Bundle.open(make_tiny_bundle(tmp_path / "new", seed=9))


@pytest.fixture
def catalog(tmp_path: Path, old: Bundle) -> Catalog:
    made = Catalog.create(tmp_path / "shop", old)
    made.add(manifest(tmp_path / "data", 20))
    return made


def assert_is_of(catalog: Catalog, bundle: Bundle, atol: float = 0.03) -> None:
    """Every vector is what the bundle makes of the row's copy."""
    encoder = BundleEncoder(bundle, 1)
    rows = list(catalog.live().store.rows())
    assert catalog.live().store.fingerprint == bundle.fingerprint
    paths = [catalog.image_path(row) for row in rows]
    coded = encoder.encode_shop([open_image(p) for p in paths if p], [row.tags for row in rows])
    np.testing.assert_allclose(np.stack([r.embedding for r in rows]), coded.embedding, atol=atol)


def test_all_is_embedded_anew_and_the_rest_stays(catalog: Catalog, new: Bundle) -> None:
    before = state(catalog)
    told: list[tuple[int, int]] = []
    report = catalog.rebuild(new, batch=8, advance=lambda d, t: told.append((d, t)))
    assert (report.embedded, report.there, report.swapped) == (20, 0, True)
    assert told == [(8, 20), (16, 20), (20, 20)]
    assert_is_of(catalog, new)
    after = state(catalog)
    assert {i: row[:6] for i, row in after.items()} == {i: row[:6] for i, row in before.items()}
    assert catalog.rebuild(new).swapped is False
    assert catalog.folder is not None
    with Catalog.open(catalog.folder) as again:
        assert state(again) == after


def test_an_engine_takes_the_new_one_up_with_its_next_search(
    catalog: Catalog, old: Bundle, new: Bundle, tmp_path: Path
) -> None:
    assert catalog.folder is not None
    photo = tmp_path / "data" / "3.jpg"
    with Catalog.open(catalog.folder) as reader:
        engine = Engine(reader, threads=1)
        held = reader.live()
        first = engine.search(photo)
        catalog.rebuild(new)
        assert len(held.store.search(np.ones(8, np.float32), 50).ids) == 20  # goes on with the old
        second = engine.search(photo)
        assert reader.live().store.fingerprint == new.fingerprint
        assert engine.encoder.fingerprint == new.fingerprint
        fresh = Engine(Catalog.open(catalog.folder)).search(photo)
        assert [(h.item_id, h.score) for h in second.hits] == [
            (h.item_id, h.score) for h in fresh.hits
        ]
        assert [h.score for h in first.hits] != [h.score for h in second.hits]
        fixed = Engine(reader, BundleEncoder(new))
        catalog.rebuild(old)
        with pytest.raises(CatalogError, match="isn't the one that made"):
            fixed.search(photo)


def test_a_writer_that_had_the_old_one_open_writes_to_the_new(
    catalog: Catalog, new: Bundle, tmp_path: Path
) -> None:
    assert catalog.folder is not None
    with Catalog.open(catalog.folder) as writer:
        catalog.rebuild(new)
        assert writer.add(manifest(tmp_path / "data", 4, start=20)).added == 4
        assert writer.remove(["item0"]) == {"item0": 2}
    assert catalog.live().store.counts() == (22, 11)
    assert_is_of(catalog, new)


def test_changes_of_others_meanwhile_come_along(
    catalog: Catalog, new: Bundle, tmp_path: Path
) -> None:
    assert catalog.folder is not None
    data = tmp_path / "data"
    with Catalog.open(catalog.folder) as writer:
        told: list[int] = []

        def between(done: int, total: int) -> None:
            told.append(done)
            if len(told) == 1:
                writer.remove(["item0", "item9"])
                writer.add(manifest(data, 2, start=40))
                write_picture(data / "6.jpg", 60)
                some = manifest(data, 12, start=4)
                rows = [replace(row, extra={"price": 0.5}) for row in some]
                write_picture(data / "6.jpg", 60)
                writer.add(type(some).from_records(rows, data))

        catalog.rebuild(new, batch=8, advance=between)
        wanted = {row.image_id: row for row in Catalog.open(catalog.folder).store.rows()}
    assert_is_of(catalog, new)
    assert set(wanted) == {f"{n}.jpg" for n in [*range(2, 18), 40, 41]}
    assert wanted["5.jpg"].columns == {"price": 0.5}


def test_the_swap_waits_for_a_writer(
    catalog: Catalog, new: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert catalog.folder is not None
    writing, done = threading.Event(), threading.Event()

    def hold() -> None:
        with Catalog.open(catalog.folder or "") as writer, writer.writing():
            writing.set()
            done.wait(1.0)
            writer.remove(["item0"])

    thread = threading.Thread(target=hold)
    thread.start()
    writing.wait()
    catalog.rebuild(new)
    thread.join()
    assert catalog.live().store.counts() == (18, 9)
    assert_is_of(catalog, new)
    monkeypatch.setattr(rebuild_module, "PATIENCE", 0.0)
    old = Bundle.open(new.folder.parent / "old")
    with (
        Catalog.open(catalog.folder) as writer,
        writer.writing(),
        pytest.raises(CatalogBusy, match="is being written to"),
    ):
        catalog.rebuild(old)


def test_only_one_rebuild_and_no_lost_pictures(
    catalog: Catalog, new: Bundle, tmp_path: Path
) -> None:
    copy = catalog.image_path(next(catalog.store.rows()))
    assert copy is not None
    data = copy.read_bytes()
    copy.write_bytes(b"torn")
    before = state(catalog)
    with pytest.raises(CatalogError, match=r"1 pictures have no copy .*0\.jpg.*--drop-lost"):
        catalog.rebuild(new)
    assert state(catalog) == before
    assert catalog.stats()["unfinished_rebuild"] == ["rebuilt-1"]

    def second(done: int, total: int) -> None:
        with pytest.raises(CatalogError, match="is being written to|another thread writes"):
            catalog.rebuild(new)

    copy.write_bytes(data)
    report = catalog.rebuild(new, advance=second)
    assert (report.embedded, report.there, report.lost) == (1, 19, [])
    assert_is_of(catalog, new)


@pytest.mark.parametrize("abandons", [False, True])
def test_what_another_rebuild_makes_live_is_never_deleted(
    catalog: Catalog, old: Bundle, new: Bundle, tmp_path: Path, abandons: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A rebuild ends just after another one has listed its part as unfinished."""
    assert catalog.folder is not None
    folder, spec = folders.stored(catalog.folder)
    rebuild_module._begin(folder, new, spec)  # as a kill leaves it
    third = Bundle.open(make_tiny_bundle(tmp_path / "third", seed=3))
    list_unfinished = pointer.unfinished
    refused = []

    def unfinished(folder: Path) -> list[Path]:
        monkeypatch.setattr(pointer, "unfinished", list_unfinished)
        found = list_unfinished(folder)
        try:
            with Catalog.open(folder) as other:
                other.rebuild(new)
        except CatalogBusy as error:
            refused.append(str(error))
        return found

    monkeypatch.setattr(pointer, "unfinished", unfinished)
    if abandons:
        assert catalog.abandon_rebuild() == 1
    else:
        assert catalog.rebuild(third).swapped
    assert "by another rebuild" in refused[0]
    with Catalog.open(folder) as found:
        assert found.check(deep=True).ok
        assert_is_of(found, old if abandons else third)


def test_a_part_that_cant_be_opened_for_a_moment_is_not_deleted_from_its_rebuild(
    catalog: Catalog, new: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: another rebuild took the part for one that is no use."""
    third = Bundle.open(make_tiny_bundle(tmp_path / "third", seed=3))
    opened = SqliteStore.__init__

    def full(self: SqliteStore, folder: Path, *more: Any, **options: Any) -> None:
        if folder.name == "rebuilt-1":
            raise CatalogError("no space on the disk")
        opened(self, folder, *more, **options)

    def second(done: int, total: int) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(SqliteStore, "__init__", full)
            with Catalog.open(tmp_path / "shop") as other, pytest.raises(CatalogError):
                other.rebuild(third)

    catalog.rebuild(new, advance=second)
    with Catalog.open(tmp_path / "shop") as found:
        assert found.check(deep=True).ok
        assert_is_of(found, new)


def test_another_bundle_or_abandoning_deletes_what_was_begun(
    catalog: Catalog, new: Bundle, tmp_path: Path
) -> None:
    for path in (tmp_path / "shop" / "pictures").rglob("*.jpg"):
        path.rename(path.with_suffix(".hidden"))
    with pytest.raises(CatalogError, match="20 pictures have no copy"):
        catalog.rebuild(new)
    third = Bundle.open(make_tiny_bundle(tmp_path / "third", seed=3))
    with pytest.raises(CatalogError, match="20 pictures have no copy"):
        catalog.rebuild(third)
    assert Bundle.open(tmp_path / "shop/rebuilt-1/bundle").fingerprint == third.fingerprint
    assert catalog.abandon_rebuild() == 1
    assert not (tmp_path / "shop/rebuilt-1").exists()
    assert catalog.abandon_rebuild() == 0


def test_the_old_one_is_deleted_a_minute_later(
    catalog: Catalog, old: Bundle, new: Bundle, tmp_path: Path
) -> None:
    shop = tmp_path / "shop"
    catalog.rebuild(new)
    catalog.remove(["item0"])
    assert (shop / "catalog.sqlite").exists()
    os.utime(shop / "live", (1e9, 1e9))
    catalog.remove(["item1"])
    assert {p.name for p in shop.iterdir()} == {"live", "pictures", "rebuild.lock", "rebuilt-1"}
    catalog.rebuild(old)
    os.utime(shop / "live", (1e9, 1e9))
    catalog.compact()
    assert {p.name for p in shop.iterdir()} == {"live", "pictures", "rebuild.lock", "rebuilt-2"}
    assert catalog.live().store.counts() == (16, 8)
    (shop / "live").write_text("../elsewhere")
    with pytest.raises(CatalogError, match="is damaged: it names '../elsewhere'"):
        Catalog.open(shop)


_REBUILDING = textwrap.dedent(
    """
    import sys
    from hemline.runtime.bundle import Bundle
    from hemline.catalog.catalog import Catalog

    catalog = Catalog.open(sys.argv[1])
    bundle = Bundle.open(sys.argv[2])
    print("ready", flush=True)
    catalog.rebuild(bundle, batch=3)
    print("done", flush=True)
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_at_any_moment_and_no_search_sees_half_of_it(
    catalog: Catalog, old: Bundle, new: Bundle, tmp_path: Path
) -> None:
    assert catalog.folder is not None
    catalog.add(manifest(tmp_path / "data", 60, start=20))
    photo = tmp_path / "data" / "3.jpg"

    def answer(engine: Engine) -> list[tuple[str, float]]:
        return [(hit.image_id, round(hit.score, 4)) for hit in engine.search(photo, k=5).hits]

    catalog.backup(tmp_path / "copy")
    with Catalog.open(tmp_path / "copy") as copy:
        allowed = [answer(Engine(copy))]
        for bundle in (new, old):  # the old one once more, as it sees the copies
            copy.rebuild(bundle)
            allowed.append(answer(Engine(copy)))
    with Catalog.open(catalog.folder) as reader:
        engine = Engine(reader, threads=1)
        seen: list[object] = []
        stop = threading.Event()

        def searching() -> None:
            while not stop.is_set():
                seen.append(answer(engine))

        thread = threading.Thread(target=searching)
        thread.start()
        clock, killed = random.Random(2), 0
        try:
            for turn in range(10):
                command = [sys.executable, "-c", _REBUILDING, catalog.folder]
                command.append((new, new, old)[turn % 3].folder)
                with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                    assert process.stdout is not None
                    assert process.stdout.readline() == "ready\n"
                    time.sleep(clock.uniform(0.0, 0.4))
                    process.send_signal(signal.SIGKILL)
                    killed += process.stdout.read() == ""
            catalog.rebuild(new)
        finally:
            stop.set()
            thread.join()
    assert killed > 0
    assert len(seen) > 10
    assert all(one in allowed for one in seen)
    assert_is_of(catalog, new)
    assert len(state(catalog)) == 80
    assert pointer.unfinished(catalog.folder) == []


def put(catalog: Catalog, item_id: str, number: int, wait: float = 60.0) -> None:
    """One image, which replaces the item's; its copy is deleted."""
    colours = np.random.default_rng(number).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    image = encode_jpeg(np.kron(colours, np.ones((16, 16, 1), np.uint8)).astype(np.uint8))
    update = ItemUpdate(item_id, Attributes("dress", (), {"n": number}), [ImageUpdate(image)])
    (outcome,) = catalog.update([update], wait=wait)
    assert outcome.status in ("added", "updated")


def test_images_that_are_replaced_meanwhile_are_not_lost(catalog: Catalog, new: Bundle) -> None:
    """Each batch of the rebuild finds that the copies of the next one have been deleted."""
    assert catalog.folder is not None
    with Catalog.open(catalog.folder) as writer:
        numbers = iter(range(1000))
        wanted: dict[str, int] = {}

        def between(done: int, total: int) -> None:
            for item in ("item0", "item5", "item9"):
                wanted[item] = next(numbers)
                put(writer, item, wanted[item])

        report = catalog.rebuild(new, batch=4, advance=between)
    assert report.lost == []
    rows = {row.item_id: row for row in catalog.live().store.rows()}
    assert {item: rows[item].columns["n"] for item in wanted} == wanted
    assert_is_of(catalog, new)


def test_work_under_the_lock_is_done_in_slices(
    catalog: Catalog, new: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writers that are faster than the rebuild have their turn between two slices."""
    assert catalog.folder is not None
    monkeypatch.setattr(rebuild_module, "SLICE", 0.0)
    monkeypatch.setattr(rebuild_module, "_ROUNDS", 0)
    monkeypatch.setattr(rebuild_module, "_FEW", 2)
    rests = 0
    with Catalog.open(catalog.folder) as writer:

        def rest(seconds: float) -> None:
            nonlocal rests
            rests += 1
            if rests <= 3:
                put(writer, f"rest{rests}", rests, wait=0.0)

        def between(done: int, total: int) -> None:
            for item in range(10):
                put(writer, f"item{item}", 100 * done + item)

        monkeypatch.setattr(rebuild_module.time, "sleep", rest)
        catalog.rebuild(new, advance=between)
    assert rests > 3
    rows = {row.item_id: row.columns["n"] for row in catalog.live().store.rows()}
    assert rows == {**{f"item{n}": 2000 + n for n in range(10)}, "rest1": 1, "rest2": 2, "rest3": 3}
    assert_is_of(catalog, new)


_WRITING = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from test_rebuild import put
    from hemline.catalog.catalog import Catalog

    catalog = Catalog.open(sys.argv[1])
    print("ready", flush=True)
    number, slowest = 0, 0.0
    while True:
        number += 1
        start = time.perf_counter()
        item = f"item{number * 7 % 400}" if number % 3 else f"new{number}"
        put(catalog, item, number)
        slowest = max(slowest, time.perf_counter() - start)
        print(item, number, slowest, flush=True)
        time.sleep(max(0.0, 1 / 18 - (time.perf_counter() - start)))
    """
)


@pytest.mark.slow
def test_a_rebuild_ends_while_others_write(
    catalog: Catalog, old: Bundle, new: Bundle, tmp_path: Path
) -> None:
    """A writer that waits for each acknowledgment, up to 18 a second; it replaces and adds."""
    assert catalog.folder is not None
    catalog.add(manifest(tmp_path / "data", 780, start=20))
    command = [sys.executable, "-c", _WRITING, catalog.folder, str(Path(__file__).parent)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    written: dict[str, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            for bundle in (new, old, new):
                report = catalog.rebuild(bundle, batch=16)
                assert (report.swapped, report.lost) == (True, [])
            time.sleep(1.0)  # writes to the new one
        finally:
            process.kill()
        for item, number, _ in acknowledged(process.stdout.readlines()):
            written[item] = int(number)
    assert len(written) > 20
    rows = {row.item_id: row.columns.get("n") for row in catalog.live().store.rows()}
    # The kill may have come between a commit and its acknowledgment.
    late = {item for item, number in written.items() if rows.get(item) != number}
    assert len(late) <= 1
    assert_is_of(catalog, new, atol=0.1)  # the last writes' vectors are of the images as sent
