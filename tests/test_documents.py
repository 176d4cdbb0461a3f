from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from hemline.documents import read_document, write_document
from hemline.errors import DamageError, HemlineError

CONTENT = {
    "name": "Kleid grün",
    "price": 106,
    "share": 0.1,
    "none": None,
    "rows": [{"a": 1, "b": ""}, {"a": 2}],
}


def test_content_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_document(path, {**CONTENT, "pair": (1, 2)}, mode=0o600)
    assert read_document(path) == {**CONTENT, "pair": [1, 2]}
    assert path.stat().st_mode & 0o777 == 0o600


def test_layout_is_not_content(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_document(path, CONTENT)
    body = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(dict(reversed(body.items()))), "utf-8")
    assert read_document(path) == CONTENT


def test_a_file_without_a_checksum_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(CONTENT), "utf-8")
    assert read_document(path) == CONTENT


def test_every_flipped_bit_is_found_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_document(path, CONTENT)
    whole = path.read_bytes()
    harmless = 0
    choose = random.Random(1)
    for bit in choose.sample(range(8 * len(whole)), 600):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            found = read_document(path)
        except DamageError:
            continue
        # In the name of the checksum: the values are as they were.
        assert {name: found.get(name) for name in CONTENT} == CONTENT
        harmless += 1
    assert harmless < 150


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff{}", b"[" * 100_000, b'{"a":' * 100_000, b'{"a": "\xc3"}'],
)
def test_what_is_no_document_is_one_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(HemlineError, match=r"a\.json can't be read"):
        read_document(path)


def test_a_missing_file_is_not_damage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_document(tmp_path / "none.json")
