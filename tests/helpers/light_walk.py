"""What `pip install hemline` alone can do, without OpenCV and torch; a script, run in a new folder.

It needs only hemline: `make size` runs it in a new environment, `tests/test_light.py` with both
hidden.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import PIL.Image

import hemline
from hemline.cli import main


def images(folder: Path) -> None:
    folder.mkdir()
    lines = ["path,item_id,domain,category"]
    for number in range(8):
        colours = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
        image = PIL.Image.fromarray(colours).resize((150 + number, 200))
        name = f"{number}.{'png' if number % 2 else 'jpg'}"
        image.save(folder / name)
        if number == 7:  # nearly the same as the last
            image.save(folder / "6.jpg", quality=80)
        lines.append(f"{name},item{number},shop,dress")
    (folder / "items.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(*args: str, code: int = 0) -> None:
    found = main(list(args))
    assert found == code, f"hemline {' '.join(args)} ended with {found}, not {code}"


def walk(folder: Path) -> None:
    images(folder / "shop")
    items, photo = str(folder / "shop" / "items.csv"), str(folder / "shop" / "0.jpg")
    catalog = str(folder / "catalog")
    run("catalog", "create", catalog)
    run("catalog", "add", catalog, items)
    for picture in ("hits.png", "hits.html"):
        run("search", catalog, photo, "--show", str(folder / picture))
    run("detect", photo, "--draw", str(folder / "detected.png"))
    run("data", "show", items, "-o", str(folder / "sheet.png"))
    run("catalog", "check", catalog)
    encoder = hemline.load("hemline-small")
    assert encoder.embed_street([photo]).shape == (1, encoder.embedding_dim)
    if importlib.util.find_spec("fastapi"):
        importlib.import_module("hemline.service.run")
    run("data", "check", items)  # but for near duplicates, of which it says so
    # These need OpenCV, and say where to get it.
    run("data", "make", "-o", str(folder / "drawn"), "--products", "2", code=1)
    run("demo", "--products", "2", code=1)


if __name__ == "__main__":
    walk(Path.cwd())
    loaded = {"cv2", "torch"} & {name for name, module in sys.modules.items() if module}
    assert not loaded, f"{loaded} is there"
