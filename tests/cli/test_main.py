"""What every command does with what goes wrong: one line, a status, and one JSON object."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hemline.cli as cli
from hemline.cli import main
from hemline.cli._common import natives_hushed, out, say, to_json
from hemline.errors import DataError


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Every command ends in ``error``."""

    class Command:
        def main(self, **_: object) -> int:
            raise error

    monkeypatch.setattr(cli.typer.main, "get_command", lambda app: Command())


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (DataError("two\nlines"), 1, "two lines"),
        (OSError(28, "No space left on device"), 1, "the disk is full"),
        (PermissionError(13, "Permission denied", "shut"), 1, "shut can't be read or written"),
        (PermissionError(13, "Permission denied", "shut/.x.csv.1a2b"), 1, "hemline: shut can't"),
        (OSError(30, "Read-only file system", "shut"), 1, "check who may use it"),
        (IsADirectoryError(21, "Is a directory", "rough", None, "x"), 1, "x is a folder"),
        (OSError(5, "Input/output error", "disk"), 1, "Input/output error: disk"),
        (MemoryError(), 1, "there isn't enough memory"),
        (KeyboardInterrupt(), 130, "run the same command again to resume"),
        (ModuleNotFoundError("no", name="torch.nn"), 1, "pip install 'hemline[learn]'"),
        (ModuleNotFoundError("no", name="cv2"), 1, "pip install 'hemline[synthetic]'"),
        (DataError(os.fsdecode(b"\xff.jpg is gone")), 1, ".jpg is gone"),
    ],
)
def test_one_line_and_one_object(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    words: str,
) -> None:
    failing(monkeypatch, error)
    assert main(["models"]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert words in told.err
    assert told.err.count("\n") == 1
    assert main(["models", "--json"]) == code
    told = capsys.readouterr()
    assert words.removeprefix("hemline: ") in json.loads(told.out)["error"]
    assert told.err.count("\n") == 1


def test_our_own_faults_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ZeroDivisionError("ours"))
    with pytest.raises(ZeroDivisionError):
        main(["models"])


@pytest.mark.parametrize("name", ["file/x.csv", "file/deep/x.csv"])
def test_a_file_where_a_folder_is_needed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("m.csv").write_text("path,item_id,domain\na.jpg,a,shop\n")
    assert main(["data", "write", "oml", "m.csv", "-o", name]) == 1
    assert capsys.readouterr().err == (
        "hemline: file is a file, where a folder is needed; name another place\n"
    )


def test_json_has_no_nan_and_no_broken_letters() -> None:
    text = to_json(
        {
            "price": float("nan"),
            "many": [np.float32("inf"), (1, {"deep": -np.inf}), np.array([np.nan, 1.0])],
            "path": os.fsdecode(b"\xff\xc3\xa9.jpg"),
            "word": "é",
            "count": np.int64(3),
        }
    )
    assert json.loads(text, parse_constant=pytest.fail) == {
        "price": None,
        "many": [None, [1, {"deep": None}], [None, 1.0]],
        "path": "\udcffé.jpg",
        "word": "é",
        "count": 3,
    }
    text.encode("utf-8")


def test_libraries_are_hushed_and_our_own_words_come_out() -> None:
    script = (
        "import os, sys; from hemline.cli._common import natives_hushed\n"
        "with natives_hushed():\n    os.write(2, b'noise\\n'); print('word', file=sys.stderr)\n"
        "os.write(2, b'after\\n')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stderr.replace(b"\r", b"") == b"word\nafter\n"


def test_hushing_does_nothing_where_errors_are_caught(capsys: pytest.CaptureFixture[str]) -> None:
    with natives_hushed():
        print("word", file=sys.stderr)
    assert capsys.readouterr().err == "word\n"


def test_nothing_in_the_data_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    out("a\x1b[31mb\tc")
    say("a\x9b31mb")
    told = capsys.readouterr()
    assert told.out == "a\ufffd[31mb\tc\n"
    assert told.err == "a\ufffd31mb\n"


def test_an_interrupt_inside_a_command_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(path: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hemline.data.manifest.Manifest.read", interrupted)
    assert main(["data", "check", "m.csv", "--json"]) == 130
    told = capsys.readouterr()
    assert json.loads(told.out)["kind"] == "Interrupted"
    assert told.err.strip() == "hemline: interrupted; run the same command again to resume"
