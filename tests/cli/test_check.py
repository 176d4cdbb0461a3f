"""``hemline data check`` and ``show``: reports as JSON and as a page, one line for each mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from hemline.cli import _common, main
from hemline.data.images import open_image


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEMLINE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    rng = np.random.default_rng(0)
    for name in ("1/shop/a", "1/street/b", "2/shop/c"):
        path = tmp_path / "tree" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (50, 40, 3), np.uint8))
    out = tmp_path / "m.parquet"
    assert main(["data", "read", "folder", str(tmp_path / "tree"), "-o", str(out)]) == 0
    capsys.readouterr()
    return out


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, Any, str]:
    """Exit status, the JSON object, and what was said."""
    status = main(["data", *map(str, args), "--json"])
    captured = capsys.readouterr()
    return status, json.loads(captured.out), captured.err


def test_check(
    manifest: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, result, _ = run(capsys, "check", manifest, "--strict")
    assert status == 0
    assert [found["name"] for found in result["findings"]] == ["shop_only"]
    assert result["findings"][0]["examples"] == [{"items": ["2"]}]
    assert len(list((home / "checks").glob("*.jsonl"))) == 1
    (tmp_path / "tree/1/shop/a.jpg").write_bytes(b"GIF89a")
    report, page = tmp_path / "report.json", tmp_path / "report.html"
    status, result, _ = run(capsys, "check", manifest, "-o", report, "-o", page)
    assert status == 0
    assert result["remembered"] == 2
    assert json.loads(report.read_text()) == result
    assert page.read_text().startswith("<!doctype html>")
    assert result["findings"][0]["name"] == "broken"
    assert result["findings"][0]["examples"][0]["paths"] == ["tree/1/shop/a.jpg"]
    status, result, _ = run(capsys, "check", manifest, "--strict", "--cache", tmp_path / "c")
    assert status == 1
    assert "1 of 3 pictures can't be opened" in result["error"]
    assert main(["data", "check", str(manifest)]) == 0
    captured = capsys.readouterr()
    assert "files that can't be opened: 1" in captured.out
    assert "a.jpg is a damaged or truncated GIF" in captured.err


def test_check_refuses_another_kind_of_report_and_a_bad_cache(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, result, _ = run(capsys, "check", manifest, "-o", tmp_path / "report.pdf")
    assert status == 2
    assert ".json or .html" in result["error"]
    (tmp_path / "file").touch()
    status, result, _ = run(capsys, "check", manifest, "--cache", tmp_path / "file")
    assert status == 2
    assert "cache" in result["error"]


def test_check_says_it_once(manifest: Path, tmp_path: Path) -> None:
    """A damaged JPEG makes libjpeg itself print; in a process of its own nothing of it is heard."""
    path = tmp_path / "tree/1/shop/a.jpg"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60] = b"\xff\xd3" * 30
    path.write_bytes(bytes(data))
    command = [sys.executable, "-m", "hemline", "data", "check", str(manifest), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["files"] == 3
    assert done.stderr == ""


def test_the_bars_of_two_stages_never_stand_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal; rich allows one live display."""
    monkeypatch.setattr(_common, "err", Console(stderr=True, force_terminal=True))
    picture = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    cv2.imwrite(str(tmp_path / "b.jpg"), picture)
    table = tmp_path / "m.csv"
    table.write_text("path,item_id,domain\na.png,1,shop\nb.jpg,1,shop\n")
    assert main(["data", "check", str(table)]) == 0
    captured = capsys.readouterr()
    assert "within one item, domain and split: 1" in captured.out
    assert "opening pictures" in captured.err


def test_show(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "s.png"
    status, result, _ = run(capsys, "show", manifest, "-o", sheet, "--domain", "shop", "--side", 64)
    assert (status, result["shown"], result["skipped"]) == (0, 2, [])
    assert open_image(sheet).shape[2] == 3
    status, result, _ = run(capsys, "show", manifest, "-o", sheet, "--pairs")
    assert (status, result["shown"]) == (0, 2)
    status, result, _ = run(capsys, "show", manifest, "-o", sheet, "--item", "3")
    assert status == 2
    assert "no item '3'" in result["error"]
