"""Ways to spoil bytes, JSON and files: what a reader or the picture opener must survive."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Words that stand where a number or a name should.
WORDS = (
    "nan", "inf", "-inf", "-1", "1e300", "99999999999999999999", "-", "0x10", "１２", "1.5", "True",
    "1_000", "+-3", "1e999", "../../etc/passwd", "/etc/passwd", "C:\\x.jpg", "..", ".", "~",
    "img/../../x/id_1/a.jpg", "a" * 5000, "img//id_00000001//x.jpg", "\u202e", "\ud7ff", "é",
    "\x7f", "\x1b[2J", "=", ";", "\\", '"', "'", ",", "#2", "\u00a0", "\u2028", "%s", "{}", "$HOME",
)  # fmt: skip
#: Values that stand where a part of a JSON file should.
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 10**30, 1.5, 1e308, float("inf"), float("nan"), "", "x", "../../x",
    "\ud800", "\x00", [], {}, [[]], [None], {"a": 1}, [1, 2, 3, 4], "9" * 5000, ["\udc00"],
)  # fmt: skip


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(rng.randrange(1, 20)):
        if made:
            made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def noise(data: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 7, 100, 5000)))


def noise_within(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randrange(1, 60)) + data[at + rng.randrange(60) :]


def hole(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.randrange(1, 80) :]


def repeat(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at : at + rng.randrange(1, 200)] * rng.randrange(2, 5) + data[at:]


def nul(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + b"\0" * rng.randrange(1, 4) + data[at:]


def recode(data: bytes, rng: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    code = rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "gbk"))
    return text.replace("i", rng.choice(("i", "é"))).encode(code, "replace")


def mark(data: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb")) + data


def line_ends(data: bytes, rng: random.Random) -> bytes:
    return data.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\r", b"\n\n", b" \n", b"\x0b\n")))


def swap_word(data: bytes, rng: random.Random) -> bytes:
    words = data.split(b" ")
    words[rng.randrange(len(words))] = rng.choice(WORDS).encode("utf-8", "surrogatepass")
    return b" ".join(words)


def swap_cell(data: bytes, rng: random.Random) -> bytes:
    cells = data.split(b",")
    cells[rng.randrange(len(cells))] = rng.choice(WORDS).encode("utf-8", "surrogatepass")
    return b",".join(cells)


def shuffle_lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(lines))
        if rng.random() < 0.5:
            lines.insert(rng.randrange(len(lines)), lines[at])
        else:
            lines.pop(at)
            lines = lines or [b""]
    return b"\n".join(lines)


def change_json(data: bytes, rng: random.Random) -> bytes:
    """Another value anywhere in it, or nested without end."""
    if rng.random() < 0.05:
        return b"[" * 200_000
    try:
        found = json.loads(data)
    except ValueError:
        return noise_within(data, rng)
    at: Any = [found]
    key: Any = 0
    while isinstance(at[key], dict | list) and at[key] and rng.random() < 0.85:
        at = at[key]
        key = rng.choice(list(at)) if isinstance(at, dict) else rng.randrange(len(at))
    if rng.random() < 0.2 and isinstance(at, dict):
        at.pop(key)
    else:
        at[key] = rng.choice(VALUES)
    return json.dumps(found if at != [found] else at[0]).encode()


SPOIL: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    truncate, flip_bits, noise, noise_within, hole, repeat, nul, recode, mark, line_ends, swap_word,
    swap_word, swap_word, swap_cell, shuffle_lines, change_json,
)  # fmt: skip


def spoil_file(file: Path, rng: random.Random, outside: Path) -> str:
    """Puts something else where ``file`` is; returns what. ``outside`` is a file elsewhere."""
    kind = rng.choice(
        ("gone", "folder", "loop", "out", "dangling", "pipe", "empty", "itself", "up", "parent")
    )
    if kind == "parent":  # the folder of the file becomes a file
        folder = file.parent
        for inner in sorted(folder.rglob("*"), reverse=True):
            inner.rmdir() if inner.is_dir() and not inner.is_symlink() else inner.unlink()
        folder.rmdir()
        folder.write_bytes(b"not a folder")
        return kind
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "loop":
        other = file.with_name(file.name + ".loop")
        file.symlink_to(other)
        other.symlink_to(file)
    elif kind == "out":
        file.symlink_to(outside)
    elif kind == "dangling":
        file.symlink_to(file.with_name("nowhere"))
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "itself":
        file.symlink_to(file)
    elif kind == "up":
        file.symlink_to(file.parent.parent, target_is_directory=True)
    return kind
