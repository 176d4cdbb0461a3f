"""What a worker of a cluster runs: reads, decodes and embeds the images of a shard."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import hemline
from hemline.catalog.cluster.shards import Encoded, Job, write
from hemline.catalog.intake.crops import Crop, find_crop
from hemline.catalog.intake.prepare import content_digest, embeddable
from hemline.catalog.intake.stamps import current
from hemline.data.images import read_bytes
from hemline.data.preprocess import PreparedImage
from hemline.data.remote.fetcher import Fetcher
from hemline.data.remote.settings import RemoteSettings
from hemline.errors import CatalogError, HemlineError
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder


@dataclass(frozen=True, slots=True)
class Setup:
    """How a run embeds.

    Attributes:
        fingerprint: of the bundle.
        crop: a name of `hemline.catalog.intake.crops.CROPS`.
        copies: whether a copy of each image is made for the catalogue.
        remote: how images at addresses are fetched; None: not at all.
        version: of hemline.
    """

    fingerprint: str
    crop: str = "none"
    copies: bool = True
    remote: RemoteSettings | None = None
    version: str = hemline.__version__


@dataclass(slots=True)
class _Tools:
    """What is opened once in a worker's process."""

    setup: Setup
    encoder: BundleEncoder
    crop: Crop
    fetcher: Fetcher | None


_opened: list[_Tools] = []


def bundle_files(bundle: Bundle) -> dict[str, bytes]:
    """The files of a bundle, by name."""
    return {path.name: path.read_bytes() for path in bundle.folder.iterdir() if path.is_file()}


def embed(
    setup: Setup, files: Callable[[], Mapping[str, bytes]], name: str, jobs: Sequence[Job]
) -> bytes:
    """The shard ``name`` of these jobs; rows whose image can't be opened have no source.

    Args:
        setup: of the run.
        files: gives those of the bundle; called once in a process.
        name: of the shard.
        jobs: its images.

    Raises:
        CatalogError: this machine has another version of hemline.
        BundleError: the bundle's files are incomplete or damaged.
    """
    if setup.version != hemline.__version__:
        raise CatalogError(
            f"a worker has hemline {hemline.__version__}, and the command {setup.version}; install "
            "the same version on each machine"
        )
    if not _opened or _opened[0].setup != setup:
        _opened[:] = [_tools(setup, files())]
    tools = _opened[0]
    rows = [_read(tools, job) for job in jobs]
    todo = [i for i, (_, image) in enumerate(rows) if image is not None]
    images = [image for _, image in rows if image is not None]
    coded = tools.encoder.encode_shop(images, [jobs[i].tags for i in todo])
    done = [row for row, _ in rows]
    for number, i in enumerate(todo):
        norm = float(coded.norm[number])
        done[i] = replace(done[i], embedding=coded.embedding[number], norm=norm)
    return write(done, name, setup.fingerprint)


def _tools(setup: Setup, files: Mapping[str, bytes]) -> _Tools:
    """Loads the bundle; its files are deleted again, as a killed worker would leave them."""
    with tempfile.TemporaryDirectory(prefix="hemline-bundle-") as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        bundle = Bundle.open(folder)
        encoder = BundleEncoder(bundle, 1)  # one processor for each worker
        bundle.session("shop", 1)
        crop = find_crop(setup.crop, bundle)
        if setup.crop == "detect":
            bundle.session("detector", 1)
    return _Tools(setup, encoder, crop, Fetcher(setup.remote) if setup.remote else None)


def _read(tools: _Tools, job: Job) -> tuple[Encoded, PreparedImage | None]:
    """The row without its vector; and the image for the shop tower, where it needs one."""
    row, whole, spec = Encoded.nothing(), tools.crop.whole, tools.encoder.bundle.info.preprocessing
    try:
        if isinstance(job.source, Path):
            file = job.source
            size, changed = current(file)
            row = replace(row, size=size, changed=changed)
        elif tools.fetcher is not None and job.source is not None:
            file = tools.fetcher.fetch(job.source)
        else:
            return row, None
        data = read_bytes(file)
        source = content_digest(data) + tools.crop.mark(job.box, job.category)
        if source == job.stored:
            return replace(row, source=source), None
        image, copy = embeddable(
            data, tools.crop, job.box, job.category, spec, copied=tools.setup.copies
        )
    except (HemlineError, OSError):  # the command tries it itself, and says why
        return row, None
    found = replace(row, source=source, whole=tools.crop.whole > whole)
    return replace(found, copy=copy), image
