"""The manifest: the table of images that every part of hemline reads and writes."""

from hemline.data.manifest.table import SCHEMA, Manifest

__all__ = ["SCHEMA", "Manifest"]
