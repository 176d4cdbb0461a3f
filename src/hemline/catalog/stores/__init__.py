"""One file for each kind of store; `STORES` has them by name, and those of plug-ins."""

from __future__ import annotations

from hemline.catalog.store import StoreSpec
from hemline.registry import Registry

__all__ = ["STORES"]

#: Each module declares ``STORES``: a name → its `StoreSpec`.
STORES: Registry[StoreSpec] = Registry(
    "hemline.catalog.stores", "STORES", "store", group="hemline.stores"
)
