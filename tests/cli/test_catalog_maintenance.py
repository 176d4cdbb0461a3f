"""``hemline catalog sync, check, compact, backup, rebuild, export``: a shop's engineer's day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer

import hemline.runtime.bundle as bundle_module
from helpers.small_shop import write_picture
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.cli import _catalog_sync, main


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue ``shop`` in the working folder, in step with ``feed.csv``; ``other`` a bundle."""
    monkeypatch.setattr(bundle_module, "shipped_root", lambda: tmp_path / "bundles")
    make_tiny_bundle(tmp_path / "bundles" / "small")
    make_tiny_bundle(tmp_path / "other", seed=4)
    monkeypatch.chdir(tmp_path)
    for n in range(10):
        write_picture(tmp_path / f"pictures/{n}.jpg", n)
    write_feed(10)
    assert main(["catalog", "create", "shop"]) == 0
    assert main(["catalog", "sync", "shop", "feed.csv", "--images", "pictures"]) == 0
    return tmp_path


def write_feed(count: int, price: str = "9.50 EUR", name: str = "feed.csv") -> None:
    lines = ["id,title,image_link,price,product_type"]
    lines += [
        f"sku{n},Dress {n},https://cdn.example/{n}.jpg?v=1,{price},Women > Dresses"
        for n in range(count)
    ]
    Path(name).write_text("\n".join(lines) + "\n")


def run(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*args, "--json"]) == code
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    return json.loads(text)


def test_a_day_of_a_shop(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = run(capsys, "catalog", "sync", "shop", "feed.csv")
    assert (same["unchanged"], same["embedded"], same["found_by_name"]) == (10, 0, 10)
    write_feed(9, "7 EUR")
    planned = run(capsys, "catalog", "sync", "shop", "feed.csv", "--dry-run")
    assert (planned["dry_run"], planned["columns_only"], planned["gone"]) == (True, 9, 1)
    assert planned["items"] == 10
    done = run(capsys, "catalog", "sync", "shop", "feed.csv")
    assert (done["columns_only"], done["gone"], done["items"]) == (9, 1, 9)
    hits = run(capsys, "search", "shop", "pictures/3.jpg", "--where", "price < 8", "-k", "2")
    assert len(hits["hits"]) == 2
    backed = run(capsys, "catalog", "backup", "shop", "monday")
    assert backed["pictures"] == 9
    rebuilt = run(capsys, "catalog", "rebuild", "shop", "--bundle", "other")
    assert (rebuilt["embedded"], rebuilt["swapped"]) == (9, True)
    assert run(capsys, "catalog", "check", "shop", "--deep")["ok"] is True
    assert run(capsys, "catalog", "check", "monday", "--deep")["ok"] is True
    prints = [run(capsys, "catalog", "stats", c)["fingerprint"] for c in ("shop", "monday")]
    assert prints[0] == rebuilt["fingerprint"] != prints[1]
    assert run(capsys, "catalog", "compact", "shop")["copies_swept"] == 0
    out = run(capsys, "catalog", "export", "shop", "-o", "items.parquet", "--vectors")
    assert (out["pictures"], pq.read_table("items.parquet").num_rows) == (9, 9)
    assert run(capsys, "catalog", "rebuild", "shop", "--bundle", "other")["swapped"] is False


def test_words_for_people(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_feed(9, "cheap")
    (shop / "pictures/4.jpg").write_bytes(b"torn")
    capsys.readouterr()
    for args in (
        ["sync", "shop", "feed.csv"],
        ["check", "shop"],
        ["compact", "shop"],
        ["backup", "shop", "copy"],
        ["rebuild", "shop", "--bundle", "other"],
        ["rebuild", "shop", "--abandon"],
        ["export", "shop", "-o", "items.parquet"],
        ["stats", "shop"],
    ):
        assert main(["catalog", *args]) == 0, args
    told = capsys.readouterr()
    assert "9 items in the feed: 0 new, 9 changed, 0 unchanged; 1 removed" in told.out
    assert "skipped: 4.jpg: " in told.err
    assert "9 cells of price are no price" in told.err
    assert "9 images were found by the file name of their address" in told.err
    assert "shop is intact: 9 images checked" in told.out
    assert "copy is a copy with 9 images" in told.out
    assert "9 images embedded, 0 by an earlier run" in told.out
    assert "items.parquet has 9 images of 9 items" in told.out


def test_a_feed_that_drops_many_asks_at_a_terminal_only(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_feed(4)
    answer = run(capsys, "catalog", "sync", "shop", "feed.csv", code=1)
    assert "lacks 6 of the catalogue's 10 items" in answer["error"]
    assert "--allow-removals 0.6, or --yes" in answer["error"]
    asked: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(type(_catalog_sync.err), "is_terminal", True)
    answers = iter([False, True])
    monkeypatch.setattr(
        typer, "confirm", lambda text, **_: bool(asked.append(text)) or next(answers)
    )
    assert main(["catalog", "sync", "shop", "feed.csv"]) == 1
    assert main(["catalog", "sync", "shop", "feed.csv"]) == 0
    assert asked == ["The feed lacks 6 of 10 items. Remove them?"] * 2
    write_feed(1)
    assert main(["catalog", "sync", "shop", "feed.csv", "--allow-removals", "0.5"]) == 1
    assert main(["catalog", "sync", "shop", "feed.csv", "--yes"]) == 0
    monkeypatch.undo()
    os.chdir(shop)
    assert run(capsys, "catalog", "stats", "shop")["items"] == 1


def test_columns_are_mapped_by_words_or_a_file(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("artikel.csv").write_text("Nr;Foto;Preis\na;1.jpg;1.299,00 €\nb;2.jpg;5 €\n")
    assert main(["catalog", "create", "neu"]) == 0
    said = ["Nr", "id=Nr", "--images", "pictures"]
    answer = run(capsys, "catalog", "sync", "neu", "artikel.csv", said[0], code=2)
    assert "mapped by name=column" in answer["error"]
    done = run(capsys, "catalog", "sync", "neu", "artikel.csv", "id=Nr", "images=Foto",
               "price=Preis", "--images", "pictures")  # fmt: skip
    assert done["new"] == 2
    assert run(capsys, "catalog", "sync", "neu", "artikel.csv")["unchanged"] == 2
    shown = run(capsys, "catalog", "show", "neu", "a")["rows"][0]
    assert (shown["price"], shown["currency"]) == (1299.0, "EUR")
    Path("map.json").write_text('{"id": "Nr", "images": ["Foto"], "cost": "Preis"}')
    assert main(["catalog", "create", "dritte"]) == 0
    run(capsys, "catalog", "sync", "dritte", "artikel.csv", "--map", "map.json", "--images",
        "pictures")  # fmt: skip
    assert run(capsys, "catalog", "show", "dritte", "b")["rows"][0]["cost"] == "5 €"


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["sync", "shop", "nothing.csv"], 1, "the feed nothing.csv isn't there"),
        (["sync", "shop", "feed.xml"], 1, "the feed feed.xml has no item; nothing was changed"),
        (["sync", "shop", "cut.csv"], 1, "breaks off: its last row (line 3) isn't whole"),
        (["sync", "shop", "cut.csv.gz"], 1, "breaks off"),
        (["sync", "shop", "feed.csv", "--images", "nowhere"], 2, "isn't there; name it (--images)"),
        (["sync", "shop", "feed.csv", "--max-bad", "7"], 2, "from 0 to 1, not 7"),
        (["sync", "shop", "feed.csv", "--yes", "--allow-removals", "1"], 2, "contradict"),
        (
            ["sync", "shop", "feed.csv", "--map", "feed.csv"],
            1,
            "the mapping feed.csv can't be read",
        ),
        (["sync", "shop", "feed.csv", "--crop", "face"], 2, "crop is none"),
        (["backup", "shop", "other"], 1, "other is there already"),
        (["backup", "shop", "shop/copy"], 1, "is inside the catalogue"),
        (["rebuild", "shop"], 2, "name the new bundle with --bundle"),
        (["rebuild", "shop", "--bundle", "none"], 1, "no bundle 'none'"),
        (["rebuild", "shop", "--bundle", "other", "--batch", "0"], 2, "--batch is at least 1"),
        (["export", "shop", "-o", "items.csv"], 2, "an export is a .parquet file, not 'items.csv'"),
        (["check", "nowhere"], 1, "nowhere isn't there"),
    ],
)
def test_mistakes_get_one_line(
    shop: Path, capsys: pytest.CaptureFixture[str], args: list[str], code: int, words: str
) -> None:
    import gzip

    (shop / "feed.xml").write_text("<rss/>")
    (shop / "cut.csv").write_text("id,image_link,price\nsku0,0.jpg,1\nsku1,1.jp")
    (shop / "cut.csv.gz").write_bytes(gzip.compress((shop / "feed.csv").read_bytes())[:-20])
    capsys.readouterr()
    assert main(["catalog", *args]) == code
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


@pytest.mark.parametrize(
    "args",
    [
        ["sync", "shop", "feed.csv"],
        ["compact", "shop"],
        ["check", "shop", "--repair"],
        ["remove", "shop", "sku1"],
    ],
)
def test_a_second_writer_is_refused(
    shop: Path, capsys: pytest.CaptureFixture[str], args: list[str]
) -> None:
    with Catalog.open("shop") as held, held.writing():
        capsys.readouterr()
        assert main(["catalog", *args]) == 1
        told = capsys.readouterr().err
        assert f"is being written to by another process (process {os.getpid()})" in told
        assert told.count("\n") == 1
        for reading in (["check", "shop"], ["backup", "shop", "copy"], ["stats", "shop"]):
            assert main(["catalog", *reading]) == 0
        assert main(["catalog", "sync", "shop", "feed.csv", "--dry-run"]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
@pytest.mark.parametrize(
    "args",
    [
        ["sync", "shop", "feed.csv"],
        ["rebuild", "shop", "--bundle", "other", "--batch", "5"],
        ["backup", "shop", "copy"],
        ["export", "shop", "-o", "items.parquet", "--vectors"],
    ],
)
def test_a_full_disk_is_said_in_one_line_and_nothing_is_lost(shop: Path, args: list[str]) -> None:
    """The system refuses to write on in files, as a full disk does."""
    rng = np.random.default_rng(0)
    from hemline.data.images import encode_jpeg

    for n in range(60):
        noise = rng.integers(0, 256, (90, 90, 3), dtype=np.uint8)
        (shop / f"pictures/big{n}.jpg").write_bytes(encode_jpeg(noise))
    lines = Path("feed.csv").read_text().splitlines()
    text = "x" * 3000  # the rows alone pass the limit
    lines += [f"big{n},{text}{n},big{n}.jpg,{n} EUR,Noise" for n in range(60)]
    Path("feed.csv").write_text("\n".join(lines) + "\n")
    if args[0] != "sync":
        assert main(["catalog", "sync", "shop", "feed.csv"]) == 0
    with Catalog.open("shop") as before:
        counts = before.store.counts()
    code = (
        "import resource, signal, sys; from hemline.cli import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "most = 4_000 if 'export' in sys.argv else 140_000;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (most, most));"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "catalog", *args], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1, done.stdout
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    with Catalog.open("shop") as after:
        assert after.store.counts() >= counts
        assert after.check().ok or args[0] == "sync"
    assert main(["catalog", *args]) == 0
    assert main(["catalog", "check", "shop", "--deep"]) == 0


def test_a_folder_that_cannot_be_written_to(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    import hemline.catalog.stores._lock as lock

    real = lock.os.open
    write_feed(10, "3 EUR")
    try:
        lock.os.open = lambda path, *a, **k: (
            refused() if str(path).endswith(".lock") else real(path, *a, **k)
        )
        capsys.readouterr()
        assert main(["catalog", "sync", "shop", "feed.csv"]) == 1
    finally:
        lock.os.open = real
    told = capsys.readouterr().err
    assert "shop can't be written to: Read-only file system" in told
    assert told.count("\n") == 1


def test_a_damaged_segment_is_found_and_mended(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (shop / "shop").glob("segments/*"):
        data = bytearray(path.read_bytes())
        data[-5] ^= 0xFF
        path.write_bytes(bytes(data))
    found = run(capsys, "catalog", "check", "shop", code=1)
    assert found["ok"] is False
    assert [p["part"] for p in found["problems"]] == ["segment"]
    mended = run(capsys, "catalog", "check", "shop", "--repair")
    assert mended["ok"] is True
    assert mended["embedded"] >= 1
    assert run(capsys, "catalog", "check", "shop", "--deep")["ok"] is True
    own = run(capsys, "search", "shop", "pictures/9.jpg", "-k", "1", "--no-rerank")
    assert own["hits"][0]["item_id"] == "sku9"


def test_the_lost_copy_of_a_picture_is_told(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next((shop / "shop/pictures").rglob("*.jpg")).unlink()
    assert main(["catalog", "check", "shop"]) == 1
    assert "the copy is missing" in capsys.readouterr().out
    answer = run(capsys, "catalog", "rebuild", "shop", "--bundle", "other", code=1)
    assert "1 pictures have no copy that can be opened" in answer["error"]
    assert run(capsys, "catalog", "stats", "shop")["unfinished_rebuild"] == ["rebuilt-1"]
    done = run(capsys, "catalog", "rebuild", "shop", "--bundle", "other", "--drop-lost")
    assert (done["there"], len(done["lost"])) == (9, 1)
    assert run(capsys, "catalog", "check", "shop")["ok"] is True
