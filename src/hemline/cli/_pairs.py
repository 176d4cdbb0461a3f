"""``hemline data pairs`` and ``hemline data join``: what a model of real photos learns from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hemline.cli._common import JsonOption, emit, out, progress
from hemline.errors import UsageError


def pairs(
    street: Annotated[
        Path, typer.Argument(help="Manifest of street photos with masks (co-parsing).")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder.")],
    clothing: Annotated[
        Path | None, typer.Option(help="Manifest of garments' own photos (clothing).")
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test: whose rows are used.")] = "train",
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same images.")] = 0,
    cutouts: Annotated[
        int, typer.Option(min=1, help="Changed cut-outs of each garment in a street photo.")
    ] = 3,
    scenes: Annotated[
        int, typer.Option(min=0, help="Street scenes of each garment with its own photo.")
    ] = 2,
    photos: Annotated[int, typer.Option(min=1, help="Changed photos of each such garment.")] = 2,
    retakes: Annotated[
        int, typer.Option(min=0, help="Changed photos of it on the street side, too.")
    ] = 1,
    strength: Annotated[
        float, typer.Option(min=0.0, max=2.0, help="How strongly images are changed; 0: hardly.")
    ] = 1.0,
    unmasked: Annotated[
        Path | None,
        typer.Option(help="Folder of further street photos, without masks; the split's own."),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(help="A bundle whose detector frames them; default: the one shipped."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make pairs from real photos: a garment in a street scene, and other photos of it.

    Garments are cut out by masks and made to look like other photos; garments with a photo of their
    own are put on the people of street photos. A garment meets scenes of its own split only.
    Garments of photos without masks are framed by a detector and cut out by GrabCut; those that
    can't be told from the rest are left out.

    Example: hemline data pairs street.parquet --clothing clothing.parquet -o pairs
    """
    from hemline.data.manifest import Manifest
    from hemline.runtime.bundle import Bundle
    from hemline.runtime.detector import BundleDetector
    from hemline.synthetic.pair_rows import PairSettings
    from hemline.synthetic.pairs import Unmasked, make_pairs

    settings = PairSettings(split, seed, cutouts, scenes, photos, retakes, strength=strength)
    own = Manifest.read(clothing) if clothing is not None else None
    further = None
    if unmasked is not None:
        bundle = Bundle.default() if detector is None else Bundle.open(detector)
        frames = BundleDetector(bundle)
        further = Unmasked(unmasked, lambda photo: frames.detect([photo])[0])
    elif detector is not None:
        raise UsageError("--detector frames the garments of --unmasked FOLDER; give both")
    with progress("making pairs") as advance:
        path = make_pairs(output, Manifest.read(street), own, settings, advance, further)
    _tell(Manifest.read(path), path, json)


def join(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests, in order.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A .parquet or .csv file.")],
    kinds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Add the column kind_of_source, whose batches (data.batch_by) hold garments that "
            "are alike: SOURCE/CATEGORY for categories of at least so many training photos of a "
            "source, SOURCE/other for the rest.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Join manifests into one, to train on a mixture.

    Item and image names get the manifest's number in front (1/ID), so that they stay apart; the
    column source names the manifest, where it has no such column of its own.

    Example: hemline data join drawn/manifest.parquet pairs/manifest.parquet -o mixture.parquet
    """
    from hemline.data.manifest import Manifest
    from hemline.data.manifest.join import join as joined
    from hemline.data.manifest.join import with_kinds

    whole = joined([(file.stem, Manifest.read(file)) for file in manifests])
    path = (whole if kinds is None else with_kinds(whole, kinds)).write(output)
    _tell(Manifest.read(path), path, json)


def _tell(manifest: object, path: Path, json: bool) -> None:
    from hemline.data.manifest import Manifest

    assert isinstance(manifest, Manifest)
    sources = manifest.column("source").tolist()
    counts = {name: sources.count(name) for name in sorted(set(sources))}
    result = {
        "manifest": str(path),
        "rows": len(manifest),
        "items": len(set(manifest.column("item_id"))),
        "sources": counts,
    }
    emit(
        result,
        json,
        lambda r: out(
            f"{r['rows']:,} rows of {r['items']:,} items ("
            + ", ".join(f"{name} {count:,}" for name, count in r["sources"].items())
            + f"): {r['manifest']}"
        ),
    )
