"""One fuzz case of a reader: a small tree in its format, spoilt, read, and what must hold then."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from helpers.mangle import SPOIL, WORDS, spoil_file
from helpers.published import consumer2shop, darn, deepfashion2, inshop, plant, street2shop
from hemline.data.manifest import Manifest
from hemline.datasets import READERS
from hemline.errors import HemlineError
from hemline.types import Box, Record


def _grocery(root: Path) -> Path:
    plant(root, "iconic/a.jpg", "train/a/1.jpg", "val/a/2.jpg")
    head = (
        "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),Iconic,D\n"
    )
    (root / "classes.csv").write_text(f"{head}Apple,0,Fruit,0,/iconic/a.jpg,/iconic/a.txt\n")
    (root / "iconic/a.txt").write_text("An apple.")
    (root / "train.txt").write_text("train/a/1.jpg, 0, 0\n")
    (root / "val.txt").write_text("val/a/2.jpg, 0, 0\n")
    return root


def _folder(root: Path) -> Path:
    plant(
        root, "17/street/a.jpg", "17/shop/b.png", "coat/18/c.webp", "street/19.jpg", "shop/19.jpg"
    )
    return root


def _table(root: Path) -> Path:
    plant(root, "a.jpg", "b.jpg")
    rows = ["path,item_id,domain,tags,x1,y1,x2,y2,price,landmarks,split,category"]
    rows.append(f"a.jpg,007,shop,color=red;tag=new,1,2,3,4,9.5,{';'.join(['1'] * 24)},train,coat")
    rows.append("b.jpg,8,street,,,,,,3,,test,coat")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


def _parquet(root: Path) -> Path:
    plant(root, "a.jpg", "b.jpg")
    rows = [
        Record("", "a.jpg", "1", "shop", "coat", Box(1, 2, 3, 4), ("color=red",), split="train"),
        Record("", "b.jpg", "2", "street", extra={"price": 3.5}),
    ]
    Manifest.from_records(rows, root).write(root / "manifest.parquet")
    return root


def _frame(root: Path) -> Path:
    plant(root, "a.jpg", "b.jpg", "c.jpg")
    (root / "manifest.csv").write_text(
        "label,path,split,is_query,is_gallery,category,x_1,x_2,y_1,y_2\n"
        "3,a.jpg,train,,,coat,1,5,2,8\n"
        "4,b.jpg,validation,True,False,coat,,,,\n4,c.jpg,validation,False,True,coat,,,,\n"
    )
    return root


#: Each target's tree, and what reads it.
TARGETS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "consumer2shop": (consumer2shop, "consumer2shop"),
    "inshop": (inshop, "inshop"),
    "deepfashion2": (deepfashion2, "deepfashion2"),
    "street2shop": (street2shop, "street2shop"),
    "darn": (darn, "darn"),
    "grocery": (_grocery, "grocery"),
    "folder": (_folder, "folder"),
    "csv": (_table, "csv"),
    "parquet": (_parquet, "csv"),
    "oml": (_frame, "oml"),
    "manifest.csv": (_table, ""),
    "manifest.parquet": (_parquet, ""),
}
#: These may name files anywhere: they are tables of one's own.
OWN = {"csv", "parquet", "oml", "manifest.csv", "manifest.parquet"}


def snapshot(root: Path) -> dict[Path, bytes]:
    """The files below ``root``."""
    return {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}


def restore(root: Path, files: Mapping[Path, bytes]) -> None:
    """``root`` as it was: only what is no more the same is made anew."""
    for file, data in files.items():
        for folder in [*reversed(file.relative_to(root).parents)]:
            _clear(root / folder, folder=True)
        if _clear(file, folder=False) or file.read_bytes() != data:
            file.write_bytes(data)
        _clear(file.with_name(file.name + ".loop"), folder=False)


def _clear(path: Path, folder: bool) -> bool:
    """Removes what is no plain folder or file there; whether nothing is there now.

    A folder that is missing is made.
    """
    plain = not path.is_symlink() and (path.is_dir() if folder else path.is_file())
    if not plain:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if folder:
            path.mkdir()
    return not plain


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """What hangs, as on a pipe that nobody writes to, is stopped by an error."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"still at it after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(target: str, root: Path, seed: int) -> tuple[str, str]:
    """One case on the tree of ``target``: (how it was spoilt, how it ended).

    Ends in ``read`` or ``refused``. Anything else is an error: another exception, a message of
    several lines, counts that don't add up, a picture outside the root, a manifest that can't be
    written and read again.
    """
    rng = random.Random(seed)
    outside = root.parent / "outside.jpg"
    files = sorted(f for f in root.rglob("*") if f.is_file())
    lists = [f for f in files if f.suffix not in (".jpg", ".png", ".webp", ".JPEG")]
    if lists and rng.random() < 0.8:
        file = rng.choice(lists)
    else:
        file = rng.choice(files)
    options: dict[str, str] = {}
    if lists and rng.random() < 0.75:
        how = rng.choice(SPOIL)
        file.write_bytes(how(file.read_bytes(), rng))
        told = f"{how.__name__} {file.name}"
        if rng.random() < 0.3:
            file.write_bytes(rng.choice(SPOIL)(file.read_bytes(), rng))
    else:
        told = f"{spoil_file(file, rng, outside)} {file.name}"
    reader = TARGETS[target][1]
    if reader and rng.random() < 0.1:
        known = sorted(READERS[reader].options)
        options[rng.choice(known) if known else "x"] = rng.choice([*WORDS, "a\0b", "", "..", "/"])
        told += f" {options}"
    with at_most(20):
        return told, _end(target, reader, root, options, seed % 10 == 0)


def _end(target: str, reader: str, root: Path, options: dict[str, str], thorough: bool) -> str:
    try:
        if reader:
            manifest, report = READERS[reader].read(root, **options)
            assert report.listed == report.found + report.missing + report.broken
            assert report.found == len(manifest) > 0
            assert all("\n" not in note for note in report.notes)
        else:
            manifest = Manifest.read(root)
    except HemlineError as error:
        text = str(error)
        assert "\n" not in text
        assert 0 < len(text) < 20_000
        return "refused"
    if target not in OWN and not {"links", "images"} & set(options):
        real = os.path.realpath(root) + os.sep
        for path in manifest.files():
            assert os.path.realpath(path).startswith(real), path
    if thorough:
        again = Manifest.read(manifest.write(root.parent / "again.parquet"))
        assert again.fingerprint() == manifest.fingerprint()
    return "read"
