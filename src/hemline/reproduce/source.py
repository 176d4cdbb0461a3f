"""The images that an experiment is measured on: the paper's own, another set, or drawn ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol
from hemline.data.relevance import mask_of, text_column
from hemline.datasets import PROTOCOLS, READERS, build
from hemline.errors import UsageError
from hemline.progress import ProgressOf, no_progress
from hemline.reproduce.experiment import Experiment
from hemline.reproduce.scales import Scale
from hemline.types import Domain

#: The protocol of a data set that isn't the paper's own.
STANDS_IN = {"grocery": "grocery"}
#: Seed of the drawn data and of every protocol.
DRAWN_SEED, PROTOCOL_SEED = 7, 0
#: Seed of the products that only distract.
DISTRACTOR_SEED = 8


@dataclass(frozen=True)
class Source:
    """Images and how they are searched.

    Attributes:
        manifest: all rows.
        parts: name of a protocol → its folds or categories, or one part.
        words: what the images are, for people.
        own: whether they are the paper's own.
        keep_out: the setting by which training leaves out what is measured; empty where the
            manifest's splits do.
        extra: settings of every recipe.
        drawn: whether they are drawn here.
    """

    manifest: Manifest
    parts: dict[str, tuple[Protocol, ...]]
    words: str
    own: bool
    keep_out: str = ""
    extra: tuple[str, ...] = ()
    drawn: bool = False

    @property
    def searched(self) -> Manifest:
        """The rows that the parts' queries and galleries are of: all rows, and distractors."""
        return next(iter(self.parts.values()))[0].manifest


def missing(experiment: Experiment) -> list[str]:
    """Protocols of the paper's data that this version doesn't have."""
    return [name for name in experiment.protocols if name not in PROTOCOLS]


def drawn(
    experiment: Experiment,
    scale: Scale,
    out: Path,
    progress: ProgressOf,
    detector: str = "",
    distractors: int = 0,
) -> Source:
    """`hemline data make` into ``out``; what is there already isn't drawn again. The shop pictures
    of ``distractors`` further products are searched, too; nothing is trained on them."""
    manifest = _made(scale, out, progress)
    whole, crop = manifest, experiment.crop
    words = (
        f"drawn by hemline data make: {scale.products:,} products, {scale.pixels} px, seed "
        f"{DRAWN_SEED}"
    )
    if distractors:
        whole = distracted(manifest, _made(scale, out, progress, distractors))
        words += f"; {distractors:,} further shop pictures in the gallery"
    if detector:
        whole, crop = detected(whole, detector, experiment.cut, out, progress), "box"
        manifest = whole.select(np.arange(len(manifest))) if distractors else whole
    choices = Choices(crop=crop, seed=PROTOCOL_SEED)
    parts = {name: build(name, whole, choices) for name in experiment.stand_ins}
    if experiment.by_size:
        parts = {name: tuple(map(by_size, every)) for name, every in parts.items()}
    elif distractors:
        parts = {
            name: tuple(_growing(part, int((part.gallery < len(manifest)).sum())) for part in every)
            for name, every in parts.items()
        }
    words += _cropped_by(detector, experiment)
    return Source(manifest, parts, words, own=False, drawn=True)


def _made(scale: Scale, out: Path, progress: ProgressOf, distractors: int = 0) -> Manifest:
    """The scale's products, or the shop pictures of so many others, by another seed."""
    from hemline.synthetic.make import make_dataset
    from hemline.synthetic.settings import SyntheticSettings

    products = f"{distractors}-distractors" if distractors else f"{scale.products}-products"
    with progress("drawing distractors" if distractors else "drawing") as advance:
        file = make_dataset(
            out / "data" / f"{products}-{scale.pixels}px",
            distractors or scale.products,
            DISTRACTOR_SEED if distractors else DRAWN_SEED,
            SyntheticSettings(size=scale.pixels),
            street_views=0 if distractors else 2,
            workers=1 if scale.name == "smoke" else None,
            progress=advance,
        )
    return Manifest.read(file)


def distracted(manifest: Manifest, others: Manifest) -> Manifest:
    """Its rows as they are, then the others as images of ``test`` with ids of their own."""
    for name in ("item_id", "image_id"):
        others = others.with_column(name, [f"other-{one}" for one in others.column(name)])
    others = others.with_column("split", ["test"] * len(others))
    tables = [
        one.table.set_column(
            one.table.column_names.index("path"), "path", pa.array([str(f) for f in one.files()])
        )
        for one in (manifest, others)
    ]
    return Manifest.from_table(pa.concat_tables(tables).combine_chunks(), manifest.root)


def _cropped_by(detector: str, experiment: Experiment) -> str:
    if not detector:
        return ""
    sides = {"street": "street photos", "shop": "shop images"}
    return f"; {' and '.join(sides[side] for side in experiment.cut)} cropped by {detector}"


def detected(
    manifest: Manifest, detector: str, sides: Sequence[Domain], out: Path, progress: ProgressOf
) -> Manifest:
    """`hemline data crop`: the boxes of some domains are those that a bundle's detector finds.

    Raises:
        BundleError: no such bundle, or one without a detector.
    """
    from hemline.runtime.bundle import Bundle
    from hemline.runtime.crops import crop_manifest
    from hemline.runtime.detector import BundleDetector

    found = BundleDetector(Bundle.open(detector))
    journal = (
        out / "data" / f"garments-{manifest.fingerprint()[:12]}-{found.fingerprint[:12]}.jsonl"
    )
    journal.parent.mkdir(parents=True, exist_ok=True)
    with progress("detecting garments") as advance:
        made, _ = crop_manifest(manifest, found, sides=sides, journal=journal, advance=advance)
    return made


def paired(manifest: Manifest) -> Manifest:
    """In-Shop's images are all of one domain, and training needs two: of each training item every
    second image plays the photo. What is searched stays as it was."""
    split, items = (np.asarray(manifest.column(name), np.str_) for name in ("split", "item_id"))
    domain = np.asarray(manifest.column("domain"), dtype=object)
    seen: dict[str, int] = {}
    for row in np.flatnonzero(split == "train").tolist():
        count = seen[items[row]] = seen.get(items[row], 0) + 1
        domain[row] = "shop" if count % 2 else "street"
    return manifest.with_column("domain", domain.tolist())


def given(
    experiment: Experiment,
    data: Path,
    data_format: str | None,
    protocol: str | None,
    detector: str = "",
    out: Path = Path(),
    progress: ProgressOf = no_progress,
) -> Source:
    """The images of a folder in a published format, or of a manifest's file.

    Args:
        data_format: of the folder, a name of `READERS`; the paper's own by default.
        protocol: instead of the paper's own.
        detector: a bundle whose detector crops the images of ``experiment.cut``.
        out: folder of what the detector found.

    Raises:
        UsageError: a protocol that this version doesn't have.
        DataError: the data can't be read, or lacks what a protocol needs.
    """
    chosen = data_format or experiment.data
    if data.is_file() or (data_format is None and (data / "manifest.parquet").is_file()):
        manifest, words = Manifest.read(data), f"the manifest {data.name}"
    else:
        manifest, report = READERS[chosen].read(data)
        words = f"{chosen}: " + ("; ".join(report.differences()) or "as published")
    own = chosen == experiment.data and protocol is None
    names: Sequence[str] = experiment.protocols
    if protocol is not None or not own:
        names = [protocol or STANDS_IN.get(chosen, "default")]
    elif missing(experiment):
        raise UsageError(
            f"needs protocol {', '.join(missing(experiment))}, which this version doesn't have; "
            "name another with --protocol"
        )
    choices = Choices(seed=PROTOCOL_SEED)
    extra: tuple[str, ...] = ()
    if chosen == "inshop":
        manifest = paired(manifest)
    if detector:
        manifest = detected(manifest, detector, experiment.cut, out, progress)
        words += _cropped_by(detector, experiment)
        choices, extra = Choices(seed=PROTOCOL_SEED, crop="box"), ("data.crop=box",)
    parts = {name: build(name, manifest, choices) for name in names}
    if chosen == "grocery":  # its val is the test
        extra += ("data.val=null", "data.validation_split={fraction: 0.1, by: photo}")
    keep_out = "" if names[-1] == "synthetic" else f"data.keep_out={{protocol: {names[-1]}}}"
    if parts[names[-1]][0].partition is not None:  # the protocol draws its own splits
        keep_out = f"data.partition={names[-1]}"
    return Source(manifest, parts, words, own, keep_out, extra)


def by_size(part: Protocol) -> Protocol:
    """A protocol whose galleries grow: a quarter of the products are asked for, their images come
    first, and the others follow in a seeded order; each size is twice the one before."""
    items = text_column(part.manifest, "item_id")
    products = sorted(set(items[part.queries].tolist()))
    order = np.random.default_rng(PROTOCOL_SEED).permutation(len(products))
    asked = frozenset(products[at] for at in order[: max(1, len(products) // 4)].tolist())
    keep = mask_of(items[part.queries], asked)
    own = part.gallery[mask_of(items[part.gallery], asked)]
    others = part.gallery[~mask_of(items[part.gallery], asked)]
    others = others[np.random.default_rng(PROTOCOL_SEED).permutation(len(others))]
    gallery = np.concatenate([own, others])
    stated = {
        "queries": f"street photos of {len(asked):,} products of test",
        "gallery": "their shop pictures, then the other shop pictures of test",
    }
    relevant = tuple(right for right, kept in zip(part.relevant, keep, strict=True) if kept)
    smaller = replace(
        part,
        queries=part.queries[keep],
        gallery=gallery,
        relevant=relevant,
        choices={**part.choices, **stated},
    )
    return _growing(smaller, len(own))


def _growing(part: Protocol, first: int) -> Protocol:
    """Its galleries of ``first`` images, of twice as many and so on, up to the whole one."""
    steps = range(len(part.gallery).bit_length())
    sizes = tuple(size for n in steps if 0 < (size := first << n) < len(part.gallery))
    return replace(part, gallery_sizes=sizes)
