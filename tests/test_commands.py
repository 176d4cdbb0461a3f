"""Every command block of the README and the docs is run, literally, or says why it isn't.

A block is run in a folder of small data of the kind that it speaks of. One that isn't run has a
line before it: *Not run by the tests: REASON.*
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.cli import main
from hemline.data.images import encode_jpeg
from hemline.runtime.bundle import Bundle
from hemline.service.run import check_access
from hemline.service.settings import Settings

ROOT = Path(__file__).parents[1]
#: Generated from the commands themselves.
_GENERATED = {"cli.md", "api.md"}
PAGES = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in _GENERATED),
]
MARK = re.compile(r"\*Not run by the tests: .+\.\*")
_COMMAND = re.compile(r"(?:\$ )?(hemline .+)")
_ITEMS = 40


class Block(NamedTuple):
    """Commands of one block of code, and whether a line before it says that they aren't run."""

    page: str
    line: int
    commands: tuple[str, ...]
    text: str
    marked: bool


def blocks_of(page: Path) -> Iterator[Block]:
    """The blocks of a page that have a command of hemline: fenced or indented."""
    lines = page.read_text(encoding="utf-8").splitlines()
    fenced, start, code, before, blank = False, 0, list[str](), "", True

    def made() -> Iterator[Block]:
        found = [m[1] for text in code if (m := _COMMAND.match(text.strip()))]
        if found:
            yield Block(
                page.name, start, tuple(found), "\n".join(code), bool(MARK.fullmatch(before))
            )

    for number, line in enumerate([*lines, ""], 1):
        fence = line.startswith("```")
        indented = not fenced and line.startswith("    ") and (blank or bool(code))
        if (code and not fenced and not indented) or (fence and fenced):
            yield from made()
            code, before = [], ""
        if fence:
            fenced, start = not fenced, number
        elif fenced or indented:
            start = start if code else number
            code.append(line)
        elif line.strip():
            before = line.strip()
        blank = not line.strip()


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def test_blocks_are_found() -> None:
    assert len(BLOCKS) > 25
    assert sum(len(block.commands) for block in BLOCKS if not block.marked) > 35
    named = {block.page for block in BLOCKS if not block.marked}
    assert {"README.md", "catalog.md", "data.md", "detection.md", "tags.md"} <= named


# --- the folder that they run in --------------------------------------------------------------


def picture(number: int) -> bytes:
    colours = np.random.default_rng(number).integers(0, 256, (3, 2, 3), dtype=np.uint8)
    return encode_jpeg(np.kron(colours, np.ones((40, 40, 1), np.uint8)).astype(np.uint8))


def feed(
    folder: Path, items: int = _ITEMS, cut: float = 1.0, link: str = "https://x.example/"
) -> None:
    """A feed with Google's columns; some prices fall with ``cut``."""
    head = "id,title,description,link,image_link,availability,price,product_type,color,size\n"
    rows = [
        f"sku-{n},{('Navy', 'Red')[n % 2]} {('Dress', 'Skirt')[n % 2]},A floral one.,"
        f"https://x.example/{n},{link}{n}.jpg,in_stock,{(20 + n) * (cut if n < 5 else 1):.2f} EUR,"
        f"Women > {('Dress', 'Skirt')[n % 2]},{('Navy', 'Red')[n % 2]},{'SML'[n % 3]}\n"
        for n in range(items)
    ]
    (folder / "feed.csv").write_text(head + "".join(rows))


def manifest(folder: Path, name: str, domains: tuple[str, ...]) -> None:
    head = "path,item_id,domain,category,title,price,split,x1,y1,x2,y2\n"
    rows = [
        f"pictures/{n if domain == 'shop' else n + 100}.jpg,sku-{n},{domain},"
        f"{('dress', 'skirt')[n % 2]},{('Navy', 'Red')[n % 2]} floral {('dress', 'skirt')[n % 2]},"
        f"{20 + n},test,5,5,60,90\n"
        for n in range(_ITEMS)
        for domain in domains
    ]
    (folder / name).write_text(head + "".join(rows))


def served(settings: Settings, *_: object) -> None:
    """In place of a service, which wouldn't end: whether it could begin."""
    check_access(settings)
    for own in settings.each:
        Catalog.open(own.catalog).close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures, photos, a feed and manifests; the present folder of the test."""
    (tmp_path / "pictures").mkdir()
    for n in range(_ITEMS):
        (tmp_path / f"pictures/{n}.jpg").write_bytes(picture(n))
        (tmp_path / f"pictures/{n + 100}.jpg").write_bytes(picture(n))
    shutil.copytree(tmp_path / "pictures", tmp_path / "IMAGES")
    shutil.copytree(tmp_path / "pictures", tmp_path / "photos/street")
    for name in ("photo", "street", "front", "side"):
        (tmp_path / f"{name}.jpg").write_bytes(picture(1))
    feed(tmp_path)
    manifest(tmp_path, "products.csv", ("shop",))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("hemline.service.run.serve", served)
    return tmp_path


def manifest_parquet(folder: Path, name: str) -> None:
    from hemline.data.manifest import Manifest

    manifest(folder, "m.csv", ("shop", "street"))
    Manifest.read(folder / "m.csv").write(folder / name)


def shop(folder: Path) -> None:
    """A catalogue ``shop`` with the products, after which nothing else has happened."""
    if not any((folder / name).exists() for name in ("shop", "catalog")):
        with Catalog.create(folder / "shop", Bundle.default()) as catalog:
            from hemline.data.manifest import Manifest

            catalog.add(Manifest.read(folder / "products.csv"))


def _shops(folder: Path) -> None:
    """Several catalogues, ``shops/dresses`` and ``shops/shoes``."""
    shop(folder)
    for name in ("dresses", "shoes"):
        shutil.copytree(folder / "shop", folder / "shops" / name, dirs_exist_ok=True)


def _better(folder: Path) -> None:
    make_tiny_bundle(folder / "better")


def _day(folder: Path) -> None:
    shutil.rmtree(folder / "shop", ignore_errors=True)
    feed(folder)


#: (page, command) → what is so before it is run.
BEFORE: dict[tuple[str, str], Callable[[Path], None]] = {
    ("catalog.md", "hemline catalog sync shop feed.csv"): lambda f: feed(f, link="pictures/"),
    ("catalog.md", "hemline catalog create shop"): _day,
    ("catalog.md", "hemline catalog sync shop feed.csv --dry-run"): lambda f: feed(f, 39, 0.8),
    ("catalog.md", "hemline catalog sync shop feed.csv (evening)"): lambda f: feed(f, 15),
    ("catalog.md", "hemline catalog rebuild shop --bundle better"): _better,
    ("data.md", "hemline data check m.parquet -o report.json -o report.html"): lambda f: (
        manifest_parquet(f, "m.parquet")
    ),
    ("detection.md", "hemline search shop street.jpg"): shop,
    ("detection.md", "hemline evaluate hemline-small manifest.parquet --crop detected"): lambda f: (
        manifest_parquet(f, "manifest.parquet")
    ),
    ("service.md", "hemline serve shops/*"): _shops,
    ("deploy.md", "hemline serve shops/* --public --host 0.0.0.0"): _shops,
    ("tags.md", "hemline data tags shop.parquet"): lambda f: manifest_parquet(f, "shop.parquet"),
}


@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS if not block.marked}))
def test_each_block_runs_as_it_stands(page: str, folder: Path) -> None:
    """Failed before: prose stood behind commands, and the README's first path ended in errors."""
    path = next(one for one in PAGES if one.name == page)
    for block in (one for one in blocks_of(path) if not one.marked):
        breaks_off = "more than may be removed" in block.text
        for text in block.commands:
            words = shlex.split(text, comments=True)
            command = shlex.join(words).replace("'", "")
            named = f"{command} (evening)" if breaks_off else command
            BEFORE.get((page, named), shop if words[1] == "serve" else lambda _: None)(folder)
            words = [name for word in words for name in sorted(glob(word)) or [word]]
            assert main(words[1:]) == int(breaks_off), f"{page}, line {block.line}: {text}"
        os.chdir(folder)
