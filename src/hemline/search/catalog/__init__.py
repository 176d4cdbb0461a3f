"""The catalogue: products, pictures, vectors; one file for each store."""

from __future__ import annotations

from hemline.registry import Registry
from hemline.search.catalog._protocol import StoreSpec

#: The stores: each module of this package declares ``STORES``, a name → its `StoreSpec`.
STORES: Registry[StoreSpec] = Registry("hemline.search.catalog", "STORES", "store")
