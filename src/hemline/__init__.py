"""hemline finds the product in a photo.

The names below are the public API (docs/api.md). Each is imported when it is first used, so
``import hemline`` is fast, and torch is only imported by what trains.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hemline import losses, metrics
    from hemline.adaptation.api import adapt
    from hemline.catalog.catalog import Catalog
    from hemline.catalog.intake.options import SyncOptions
    from hemline.client import Client
    from hemline.data.manifest import Manifest
    from hemline.errors import HemlineError
    from hemline.evaluation.api import evaluate
    from hemline.learn.api import train
    from hemline.quantization.api import quantize
    from hemline.runtime.bundle import Bundle
    from hemline.runtime.encoder import load
    from hemline.search.engine import Engine
    from hemline.types import Box, Detection, Hit, Record, SearchRequest, SearchResult

__version__ = "0.1.0"

#: Public name → the module that has it; a module of ours that is public itself maps to "".
_PUBLIC = {
    "Box": "hemline.types",
    "Bundle": "hemline.runtime.bundle",
    "Catalog": "hemline.catalog.catalog",
    "Client": "hemline.client",
    "Detection": "hemline.types",
    "Engine": "hemline.search.engine",
    "HemlineError": "hemline.errors",
    "Hit": "hemline.types",
    "Manifest": "hemline.data.manifest",
    "Record": "hemline.types",
    "SearchRequest": "hemline.types",
    "SearchResult": "hemline.types",
    "SyncOptions": "hemline.catalog.intake.options",
    "adapt": "hemline.adaptation.api",
    "evaluate": "hemline.evaluation.api",
    "load": "hemline.runtime.encoder",
    "losses": "",
    "metrics": "",
    "quantize": "hemline.quantization.api",
    "train": "hemline.learn.api",
}

__all__ = [
    "Box",
    "Bundle",
    "Catalog",
    "Client",
    "Detection",
    "Engine",
    "HemlineError",
    "Hit",
    "Manifest",
    "Record",
    "SearchRequest",
    "SearchResult",
    "SyncOptions",
    "__version__",
    "adapt",
    "evaluate",
    "load",
    "losses",
    "metrics",
    "quantize",
    "train",
]


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'hemline' has no attribute {name!r}")
    try:
        imported = importlib.import_module(module or f"hemline.{name}")
    except ModuleNotFoundError as error:
        from hemline.errors import missing_extra

        message = missing_extra(error, f"hemline.{name}")
        if message is None:
            raise
        raise ModuleNotFoundError(message, name=error.name) from None
    return getattr(imported, name) if module else imported


def __dir__() -> list[str]:
    return sorted(__all__)
