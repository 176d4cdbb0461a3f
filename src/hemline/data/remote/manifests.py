"""Fetches all images that a manifest names by addresses: `hemline data fetch`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from hemline.data.image_headers import read_header
from hemline.data.images import in_order, read_bytes
from hemline.data.manifest import Manifest
from hemline.data.remote.addresses import is_address
from hemline.data.remote.fetcher import Fetcher, RemoteImage, found_remote
from hemline.data.remote.settings import RemoteSettings
from hemline.errors import DataError, ImageError
from hemline.progress import Advance


def fetch_manifest(
    manifest: Manifest, folder: Path, settings: RemoteSettings, advance: Advance
) -> tuple[Manifest, list[str]]:
    """The manifest with files in place of addresses, and why rows were left out.

    Args:
        manifest: rows with paths stay as they are.
        folder: the images lie in ``images`` in it; the same call continues.
        settings: what may be fetched; the cache isn't used.
        advance: called with (addresses done, addresses).

    Raises:
        DataError: no row is left.
    """
    paths = [str(path) for path in manifest.files()]
    own = manifest.table["path"].to_pylist()
    rows = [row for row, path in enumerate(own) if is_address(path)]
    kept = np.ones(len(own), bool)
    left_out: list[str] = []
    settings = replace(settings, cache=folder / "images", cache_bytes=sys.maxsize)
    with Fetcher(settings) as fetcher:

        def fetch(row: int) -> Path | str:
            image, problem = found_remote(own[row], f"row {row + 1}", fetcher)
            return problem if image is None else _file(image)

        for place, file in in_order(fetch, rows, settings.connections):
            if isinstance(file, str):
                kept[rows[place]] = False
                left_out.append(file)
            else:
                paths[rows[place]] = str(file)
            advance(place + 1, len(rows))
    if not kept.any():
        raise DataError(f"none of the {len(own):,} images can be fetched; the first, {left_out[0]}")
    at = manifest.table.column_names.index("path")
    table = manifest.table.set_column(at, "path", pa.array(paths, pa.string()))
    fetched = Manifest(table, manifest.root)
    return (fetched if kept.all() else fetched.select(kept)), left_out


def _file(image: RemoteImage) -> Path | str:
    try:
        file = image.fetch()
    except ImageError as error:
        return str(error)
    try:
        read_header(read_bytes(file))
        return file
    except ImageError as error:
        return str(image.unusable(str(error)))
