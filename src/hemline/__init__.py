"""hemline finds the product in a photo."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog
    from hemline.client import Client
    from hemline.data.manifest import Manifest
    from hemline.runtime.bundle import Bundle
    from hemline.search.engine import Engine

__version__ = "0.1.0"

#: The few public names, imported when first used.
_PUBLIC = {
    "Bundle": "hemline.runtime.bundle",
    "Catalog": "hemline.catalog.catalog",
    "Client": "hemline.client",
    "Engine": "hemline.search.engine",
    "Manifest": "hemline.data.manifest",
}

__all__ = ["Bundle", "Catalog", "Client", "Engine", "Manifest", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'hemline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
