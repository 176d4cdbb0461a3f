"""What `hemline.quantize` was asked for, for either part of a bundle."""

from __future__ import annotations

from dataclasses import dataclass

from hemline.progress import ProgressOf


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of `hemline.quantize` that both parts share; see there."""

    crop: str
    split: str
    calibration: int
    photos: int
    gallery: int
    portable: bool
    name: str | None
    seed: int
    threads: int
    workers: int | None
    progress: ProgressOf
