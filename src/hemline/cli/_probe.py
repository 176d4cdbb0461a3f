"""``hemline evaluate --probe tags``: which tags a linear probe finds on the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hemline.cli._common import natives_hushed, out, progress
from hemline.errors import UsageError
from hemline.files import write_durable
from hemline.types import Domain

#: How many tags of each verdict are printed.
_SHOWN = 15


def probe_tags(
    what: str,
    model: str,
    manifest: Path,
    domain: str,
    noise: Path | None,
    *,
    boxes: bool,
    cache: Path | None,
    seed: int,
    threads: int | None,
) -> dict[str, Any]:
    """Probes what ``--probe`` names and writes the noise list; returns the report as JSON."""
    from hemline.data.manifest import Manifest
    from hemline.evaluation.model import open_encoder
    from hemline.evaluation.probe import ProbeSettings, embed_images, noise_list, probe_images

    if what != "tags":
        raise UsageError(f"--probe looks for tags, not {what!r}")
    if domain not in ("shop", "street"):
        raise UsageError(f"--probe-on is shop or street, not {domain!r}")
    rows = Manifest.read(manifest)
    encoder = open_encoder(model, threads)
    side: Domain = "shop" if domain == "shop" else "street"
    settings = ProbeSettings(seed=seed)
    with natives_hushed(), progress(f"{encoder.name}, {side} pictures") as advance:
        pictures = embed_images(
            encoder, rows, side, settings, boxes=boxes, cache=cache, advance=advance
        )
    with progress("probing names of tags") as advance:
        result = probe_images(encoder, pictures, side, settings, boxes=boxes, advance=advance)
    if noise is not None:
        write_durable(noise, noise_list(result))
        result["noise_list"] = str(noise)
    return result


def print_probe(result: Mapping[str, Any]) -> None:
    """Prints the verdicts."""
    settings = result["settings"]
    out(
        f"{result['model']} on {result['pictures']:,} {result['domain']} pictures of "
        f"{result['items']:,} products (their tags hidden from it): {result['seen']} tags are "
        f"seen, {result['noise']} are noise, {result['too_rare']} have too few products to say"
    )
    if result["items_in_all"] > result["items"]:
        out(f"{result['items']:,} of {result['items_in_all']:,} products were probed")
    if result["skipped"]:
        out(f"{result['skipped']:,} pictures can't be read and are left out")
    for verdict, what in (("seen", "seen"), ("noise", "noise: no better than chance, 0.5")):
        some = [one for one in result["tags"] if one["verdict"] == verdict]
        if some:
            out(f"{what}; AUC with its {settings['level']:.0%} interval, products:")
        for one in some[:_SHOWN]:
            out(
                f"  {one['tag']:28} {one['auc']:.2f} ({one['low']:.2f}-{one['high']:.2f})  "
                f"{one['items']:,}"
            )
        if len(some) > _SHOWN:
            out(f"  and {len(some) - _SHOWN} more (-o FILE or --json has all)")
    rare = [one["tag"] for one in result["tags"] if one["verdict"] == "too rare"]
    if rare:
        more = f" and {len(rare) - _SHOWN} more" if len(rare) > _SHOWN else ""
        out(f"too few products to say: {', '.join(rare[:_SHOWN])}{more}")
    out(
        f"of the seen ones at most {settings['false_share']:.0%} are expected to be so by luck "
        "(Benjamini-Hochberg)"
    )
    if "noise_list" in result:
        out(
            "to leave out the noise: hemline data tags MANIFEST -o OUT "
            f"--drop {result['noise_list']}"
        )
    elif result["noise"]:
        out("--noise FILE writes the noise as a list that `hemline data tags --drop` takes")
