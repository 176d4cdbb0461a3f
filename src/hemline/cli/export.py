"""``hemline export``: writes a run as a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, out, say

if TYPE_CHECKING:
    from hemline.bundle import BundleInfo


DetectorOption = Annotated[
    str | None,
    typer.Option(
        metavar="RUN|BUNDLE",
        help="Put a detector into the new bundle: that of a run, or of another bundle (a "
        "folder, or a shipped one's name).",
    ),
]


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    bundle: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the new bundle; for a detector's run, an existing bundle.",
        ),
    ],
    precision: Annotated[
        str | None,
        typer.Option(
            help="Precision of the stored weights: float32 (default), float16 (default for a "
            "detector) or int8 (not for a detector)."
        ),
    ] = None,
    detector: DetectorOption = None,
    threshold: Annotated[
        float | None, typer.Option(help="Least score (0-1) of a garment that the detector reports.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Manifest; 32 of its images are also compared with torch.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the bundle; the model's by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the best model of a run as a bundle, which runs without PyTorch.

    The run of a detector goes into an existing bundle, whose embedding and catalogues stay valid.

    Example: hemline export runs/ctxynet -o bundles/ctxynet --precision float16
    """
    from hemline.errors import UsageError
    from hemline.learn.detection.runs import is_detector_run
    from hemline.learn.export.detector import add_detector
    from hemline.learn.export.run import export as write_bundle
    from hemline.learn.export.writer import ExportOptions
    from hemline.runtime.bundle import detector_bundle

    of_detector = is_detector_run(run)
    if threshold is not None and not of_detector:
        raise UsageError(f"--threshold is of a detector, and {run} is no run of one")
    if detector is not None and of_detector:
        raise UsageError(f"{run} is the run of a detector; --detector is of a model's")
    given = None
    if detector is not None:
        own = Path(detector)
        given = own if is_detector_run(own) else detector_bundle(detector)
    precision = precision or ("float16" if of_detector else "float32")
    options = ExportOptions(precision, _some(pictures), name, force, say=say)
    if of_detector:
        info = add_detector(run, bundle, options, threshold=threshold)
        emit(_of_detector(bundle, info), as_json, _detector_words)
    else:
        info = write_bundle(run, bundle, options, detector=given)
        emit(_of_bundle(bundle, info), as_json, _words)


def _of_bundle(bundle: Path, info: BundleInfo) -> dict[str, Any]:
    files = {path.name: path.stat().st_size for path in sorted(bundle.iterdir())}
    own = ("name", "fingerprint", "precision", "precision_loss")
    return {
        "bundle": str(bundle),
        **{name: getattr(info, name) for name in own},
        "bytes": sum(files.values()),
        "files": files,
    }


def _of_detector(bundle: Path, info: BundleInfo) -> dict[str, Any]:
    assert info.detector is not None
    return {
        "bundle": str(bundle),
        "name": info.name,
        "fingerprint": info.fingerprint,
        "detector": info.detector.name,
        "detector_fingerprint": info.detector.fingerprint,
        "precision": info.detector.precision,
        "precision_loss": info.detector.precision_loss,
        "bytes": (bundle / info.graphs["detector"]).stat().st_size,
    }


def _detector_words(result: Mapping[str, Any]) -> None:
    out(
        f"{result['bundle']}: the detector {result['detector']}, {result['bytes'] / 1e6:.1f} MB as "
        f"{result['precision']}; the embedding stays {result['fingerprint'][:12]}"
    )
    out(f"Next: hemline detect PHOTO --bundle {result['bundle']}")


def _some(manifest: Path | None, count: int = 32) -> list[Any]:
    """Images spread evenly over a manifest."""
    if manifest is None:
        return []
    from hemline.data.images import open_many
    from hemline.data.manifest import Manifest
    from hemline.errors import ImageError

    table = Manifest.read(manifest)
    rows = range(0, len(table), max(1, len(table) // count))
    found = open_many([table.file(row) for row in rows][:count], workers=2)
    return [image for _, image in found if not isinstance(image, ImageError)]


def _words(result: Mapping[str, Any]) -> None:
    loss = result["precision_loss"]
    out(
        f"{result['bundle']}: {result['name']}, {result['bytes'] / 1e6:.1f} MB as "
        f"{result['precision']}, at most {loss['max_abs_error']:.2g} from torch"
    )
    out(f"Next: hemline catalog create CATALOG --bundle {result['bundle']}")


COMMANDS = {"export": export}
