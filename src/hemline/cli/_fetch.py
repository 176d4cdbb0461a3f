"""``hemline data fetch``: the images that a manifest names by addresses, as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._catalog_options import LISTED
from hemline.cli._common import JsonOption, ManifestArgument, emit, out, progress, say
from hemline.cli._remote_options import AllowHost, AllowNetwork, remote_settings
from hemline.errors import UsageError


def fetch(
    manifest: ManifestArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A folder; an unfinished one is completed.")
    ],
    allow_host: AllowHost = None,
    allow_network: AllowNetwork = None,
    settings: Annotated[
        Path | None, typer.Option(help="A file whose table [remote] says what is fetched.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Fetch the images that a manifest names by addresses, and write a manifest of files.

    Rows whose image can't be fetched are left out and listed; the same command fetches those alone.

    Example: hemline data fetch m.csv -o fetched --allow-host cdn.shop.example
    """
    from hemline.data.manifest import Manifest
    from hemline.data.remote.manifests import fetch_manifest

    found = remote_settings(settings, output, allow_host, allow_network)
    if not found.allow:
        raise UsageError("say where images may be fetched from: --allow-host HOST, or --settings")
    table = Manifest.read(manifest)
    with progress("fetching images") as advance:
        fetched, left_out = fetch_manifest(table, output, found, advance)
    path = fetched.write(output / "manifest.parquet")
    result = {"manifest": str(path), "rows": len(fetched), "left_out": left_out}
    emit(result, json, _print_fetched)


def _print_fetched(result: Mapping[str, Any]) -> None:
    for reason in result["left_out"][:LISTED]:
        say(f"left out: {reason}")
    if len(result["left_out"]) > LISTED:
        say(f"and {len(result['left_out']) - LISTED} more")
    out(f"{result['rows']:,} rows: {result['manifest']}")
