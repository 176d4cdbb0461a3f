"""Opens the MODEL of a command as an encoder."""

from __future__ import annotations

from pathlib import Path

from hemline.bundle import INFO_FILE
from hemline.encoding import Encoder
from hemline.errors import BundleError


def open_encoder(model: str, threads: int | None = None) -> Encoder:
    """The encoder of a run's folder, a bundle's folder, or a shipped bundle's name.

    Raises:
        BundleError: ``model`` is none of these.
        ModuleNotFoundError: a run needs ``hemline[learn]``.
    """
    from hemline.runtime.bundle import RENAMED, Bundle, shipped
    from hemline.runtime.encoder import BundleEncoder

    folder = Path(model)
    if folder.is_dir() and not (folder / INFO_FILE).is_file():
        if (folder / "recipe.json").is_file():
            from hemline.learn.checkpoint import CheckpointEncoder

            return CheckpointEncoder(folder)
        raise BundleError(
            f"{model} is neither a bundle (no {INFO_FILE}) nor a run (no recipe.json); "
            "'hemline train' makes a run, 'hemline export RUN -o BUNDLE' a bundle"
        )
    if not folder.is_dir() and model not in (*shipped(), *RENAMED):
        have = ", ".join(shipped()) or "none"
        raise BundleError(
            f"no model {model!r}: name a run's or a bundle's folder, or a shipped bundle ({have})"
        )
    return BundleEncoder(Bundle.open(model), threads=threads)
