"""A drawn shop of 60 products with the shipped bundle, and the real service before it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from hemline.catalog.catalog import Catalog
from hemline.data.manifest import Manifest
from hemline.demo.shop import SEED, SIZE, trained_crop
from hemline.runtime.bundle import Bundle
from hemline.service.app import create_app
from hemline.service.settings import Settings
from hemline.synthetic import SyntheticSettings
from hemline.synthetic.make import make_dataset

PRODUCTS = 60


def priced(number: int) -> dict[str, Any]:
    """The columns of a product."""
    return {"price": 9.9 + 5 * (number % 23), "currency": "EUR"}


def drawn_catalog(
    folder: Path, products: int = PRODUCTS, columns: Callable[[int], dict[str, Any]] = priced
) -> Path:
    """Its products are the first of the demo's shop, so the page's samples are among them."""
    made = make_dataset(
        folder / "drawn", products, SEED, SyntheticSettings(size=SIZE), street_views=0, workers=1
    )
    rows = Manifest.read(made)
    told = [dataclasses.replace(row, extra=columns(n)) for n, row in enumerate(rows)]
    target = folder / "catalog"
    bundle = Bundle.default()
    with Catalog.create(target, bundle) as catalog:
        catalog.add(Manifest.from_records(told, made.parent), crop=trained_crop(bundle.info))
    return target


@contextmanager
def served(catalog: Path) -> Iterator[str]:
    """The address of a service that ends with the block."""
    config = uvicorn.Config(create_app(Settings(catalog)), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service ended before it began"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)
