"""Pipes in the place of a catalogue's files: whoever opens one for reading waits for its writer."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.errors import HemlineError
from hemline.runtime.bundle import Bundle
from hemline.service.app import create_app
from hemline.service.doctor.run import examine
from hemline.service.keys import KeyRing
from hemline.service.settings import Settings

piped = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")

_PATIENCE = 30.0  # seconds
SAMPLE = [
    "live", "hemline.toml", "feed.json", "rebuilt-1/bundle/bundle.json",
    "rebuilt-1/catalog.commits", "rebuilt-1/catalog.lock", "service/keys.json",
    "service/journal.sqlite",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue with each kind of file: rebuilt, backed up, searched, with keys and settings."""
    root = tmp_path_factory.mktemp("whole")
    shop = Path(shutil.copytree(made / "shop", root / "shop"))
    with Catalog.open(shop) as catalog:
        catalog.rebuild(Bundle.open(make_tiny_bundle(root / "new", seed=3)))
        catalog.backup(root / "copy")
    (shop / "feed.json").write_text(
        '{"columns": {"id": ["sku"]}, "without": [], "images": "", "crop": ""}'
    )
    (shop / "hemline.toml").write_text('[service]\ntitle = "A shop"\n')
    KeyRing(shop / "service").create("write")
    KeyRing(shop / "service").create("read")
    use_service(shop, made / "pictures/0.jpg")
    return shop


def use_catalog(shop: Path, photo: Path) -> None:
    (shop.parent / "feed.csv").write_text("sku,image_link\n1,0.jpg\n")
    with Catalog.open(shop) as catalog:
        with suppress(HemlineError):
            catalog.sync(shop.parent / "feed.csv")
        with suppress(HemlineError):
            catalog.remove(["item3"])
        catalog.check(deep=True)


def use_service(shop: Path, photo: Path) -> None:
    keys = KeyRing(shop / "service")
    text, _ = keys.create("write")
    app = create_app(Settings(shop, keep_photos=1))
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {text}"
        found = client.post("/v1/search", files={"photo": photo.read_bytes()})
        for hit in found.json().get("hits", ()):
            client.get(hit["picture"])
        for path in ("/v1/items/item1?why=true", "/v1/admin/stats", "/"):
            client.get(path)


def use_doctor(shop: Path, photo: Path) -> None:
    list(examine(Settings(shop)))


USES: list[Callable[[Path, Path], None]] = [use_catalog, use_service, use_doctor]


@contextmanager
def pipe(path: Path) -> Iterator[list[str]]:
    """A pipe in the place of a file; yields a list that names it once somebody waits for it."""
    path.unlink()
    os.mkfifo(path)
    waited: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_PATIENCE):
            with suppress(OSError):  # nobody has opened it
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # who waits gets its end
                waited.append(path.name)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield waited
    finally:
        ended.set()
        thread.join()


def hangs(whole: Path, tmp_path: Path, photo: Path, name: str) -> list[str]:
    """The uses of a catalogue that wait for the file ``name``."""
    found = []
    for use in USES:
        shop = Path(shutil.copytree(whole, tmp_path / "shop"))
        with pipe(shop / name) as waited, suppress(HemlineError):
            use(shop, photo)
        found += [f"{use.__name__}: {name}" for name in waited]
        shutil.rmtree(shop)
    return found


@piped
@pytest.mark.parametrize("name", SAMPLE)
def test_no_small_file_is_waited_for(whole: Path, made: Path, tmp_path: Path, name: str) -> None:
    assert hangs(whole, tmp_path, made / "pictures/0.jpg", name) == []


@piped
@pytest.mark.slow
def test_no_file_is_waited_for(whole: Path, made: Path, tmp_path: Path) -> None:
    names = [str(p.relative_to(whole)) for p in sorted(whole.rglob("*")) if p.is_file()]
    assert set(SAMPLE) <= set(names)
    # SQLite's own of a connection that is still open are gone with it.
    left = [n for n in names if n not in SAMPLE and not n.endswith(("-shm", "-wal"))]
    assert not [t for n in left for t in hangs(whole, tmp_path, made / "pictures/0.jpg", n)]
