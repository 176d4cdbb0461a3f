"""A store: the in-memory one under another name."""

from dataclasses import replace

from hemline.catalog.stores.memory import STORES as MEMORY

STORES = {"scratch": replace(MEMORY["memory"], summary="in memory, an example")}
