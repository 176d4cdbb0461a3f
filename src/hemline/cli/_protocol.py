"""``hemline data protocol``: a protocol's queries and gallery, and what training may see."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._choices import Crop, Several, Unmatched, WithinCategory, choices
from hemline.cli._common import JsonOption, emit, out
from hemline.errors import UsageError
from hemline.types import SPLITS

if TYPE_CHECKING:
    from hemline.data.protocol import Protocol

#: For the help, which must not import the registry; a test holds it to what is registered.
PROTOCOL_NAMES = (
    "default, holdout, synthetic, grocery, grocery-coarse, grocery-folds, consumer2shop, "
    "consumer2shop-test-shops, consumer2shop-upper, siamese-1k, siamese-10k, "
    "siamese-val-1k, siamese-val-10k, inshop, darn, darn-ynet, deepfashion2, "
    "ilias, universal, lookbench/SUBSET, lookbench/all, street2shop/CATEGORY, street2shop/all or "
    "street2shop/ahbn"
)


def protocol(
    manifest: Annotated[
        Path | None, typer.Argument(help="The whole manifest.", show_default=False)
    ] = None,
    protocol: Annotated[
        str, typer.Option(help=f"{PROTOCOL_NAMES}. --list explains them.")
    ] = "default",
    list_protocols: Annotated[
        bool, typer.Option("--list", help="List the protocols with their own choices.")
    ] = False,
    crop: Crop = None,
    within_category: WithinCategory = None,
    several: Several = None,
    unmatched: Unmatched = None,
    fold: Annotated[int | None, typer.Option(help="Only this fold, counted from 0.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    share: Annotated[
        float, typer.Option(help="Share of the products that holdout keeps out.")
    ] = 0.2,
    train_out: Annotated[
        Path | None,
        typer.Option(help="Write the training manifest: without queries and held-out products."),
    ] = None,
    split_out: Annotated[
        Path | None,
        typer.Option(
            help="Write the rows of the protocol's own train, validation and test splits "
            "(darn-ynet, consumer2shop-upper)."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show a protocol's queries, gallery and choices, or write its training manifest.

    Example: hemline data protocol --list

    Example: hemline data protocol grocery.csv --protocol grocery-folds --fold 0 --train-out f0.csv
    """
    from hemline.data.manifest import Manifest
    from hemline.datasets import PROTOCOLS, build

    if list_protocols:
        listed = [_listed(name, PROTOCOLS[name]) for name in PROTOCOLS]
        emit({"protocols": listed}, json, _print_list)
        return
    if manifest is None:
        raise UsageError("`hemline data protocol` needs MANIFEST; --list names the protocols")
    chosen = choices(crop, within_category, several, unmatched, fold, share, seed)
    parts = build(protocol, Manifest.read(manifest), chosen)
    if (train_out or split_out) is not None and len(parts) > 1:
        kind = "folds; say which one with --fold"
        if parts[0].group is not None and parts[0].group.kind != "folds":
            kind = "parts; name one of them, as " + parts[0].name
        raise UsageError(f"{protocol} has {len(parts)} {kind}")
    written = {}
    if train_out is not None:
        written["train_out"] = str(parts[0].training().write(train_out))
    if split_out is not None:
        written["split_out"] = str(parts[0].partitioned().write(split_out))
    emit({"protocols": [_built(part) for part in parts], **written}, json, _print)


def _built(part: Protocol) -> dict[str, Any]:
    return {
        "protocol": part.choices,
        "queries": len(part.queries),
        "gallery": len(part.gallery),
        "ladder": list(part.gallery_sizes),
        "unmatched": part.unmatched,
        "held_out": sorted(part.held_out),
        "training_rows": len(part.training()),
        "partition": _parts(part),
        "published": [entry._asdict() for entry in part.published],
    }


def _parts(part: Protocol) -> dict[str, dict[str, int]] | None:
    """Products, photos and shop images of each of the protocol's own splits."""
    from hemline.data.protocol import roles

    if part.partition is None:
        return None
    query, items = roles(part.manifest) == "query", part.manifest.column("item_id")
    counts = {}
    for split in SPLITS:
        inside = part.partition == split
        counts[split] = {
            "products": len(set(items[inside].tolist())),
            "photos": int((inside & query).sum()),
            "shop_images": int((inside & ~query).sum()),
        }
    return counts


def _listed(name: str, spec: Any) -> dict[str, Any]:
    shown = ("queries", "gallery", "products", "crop", "within_category", "several", "unmatched")
    own = {field: getattr(spec, field) for field in shown}
    return {"name": name, **own, "published": [entry._asdict() for entry in spec.published]}


def _print_list(result: Mapping[str, Any]) -> None:
    for one in result["protocols"]:
        within = "within the category" if one["within_category"] else "all categories"
        out(
            f"{one['name']}: {one['queries']}; among {one['gallery']}; products: "
            f"{one['products']}; crop {one['crop']}; {within}; a photo of several rows: each "
            f"{one['several']}; no match: {one['unmatched']}"
        )


def _print(result: Mapping[str, Any]) -> None:
    for part in result["protocols"]:
        out(
            f"{part['protocol']['name']}: {part['queries']} queries, {part['gallery']} gallery "
            f"rows, {part['training_rows']} rows to train on, "
            f"{len(part['held_out'])} products held out"
        )
        if part["unmatched"]:
            out(f"  {part['unmatched']} queries have no match in the gallery")
        for split, counts in (part["partition"] or {}).items():
            told = ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in counts.items())
            out(f"  {split}: {told}")
        for name, choice in part["protocol"].items():
            out(f"  {name}: {choice}")
    for name in ("train_out", "split_out"):
        if name in result:
            out(f"written: {result[name]}")
