"""Settings of the generator: image size, and the strength of each disturbance."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from hemline.errors import UsageError


@dataclass(frozen=True)
class SyntheticSettings:
    """Image size in pixels, and strengths from 0 (none) to 1 (as strong as it gets).

    A strength bounds or scales a random draw: what each image got is recorded in its
    `Drawing.disturbance`. `others` speaks of shop and street images alike, the rest of street
    images only.

    Raises `UsageError` when a value is out of its range.
    """

    #: The side of the square images, in pixels.
    size: int = 224
    #: Other garments and accessories worn or laid beside the product.
    others: float = 0.8
    #: Objects, furniture and other people around.
    clutter: float = 0.5
    #: Hands, hair, bags and objects in front of the product.
    occlusion: float = 0.5
    #: Bent arms, a turned body, a tilted camera, perspective.
    pose: float = 0.6
    #: Dim or harsh light and colour cast.
    light: float = 0.5
    #: Motion and focus blur.
    blur: float = 0.35
    #: Sensor noise.
    noise: float = 0.4
    #: JPEG artefacts.
    jpeg: float = 0.4
    #: How much of the product may leave the frame.
    crop: float = 0.3
    #: The share of street images that are mirror selfies.
    mirror: float = 0.25

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int):
            raise UsageError(f"size must be a whole number of pixels, not {self.size!r}")
        if not 64 <= self.size <= 1024:
            raise UsageError(f"size must lie between 64 and 1024 pixels, not {self.size}")
        for name in STRENGTHS:
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or not 0 <= value <= 1:
                raise UsageError(f"{name} must be a number between 0 and 1, not {value!r}")
            object.__setattr__(self, name, float(value))

    @classmethod
    def clean(cls, size: int = 224) -> SyntheticSettings:
        """Every strength at 0: the product alone, undisturbed."""
        return cls(size, *([0.0] * len(STRENGTHS)))

    def to_json(self) -> dict[str, float]:
        """A dictionary of plain numbers, for `synthetic.json`."""
        return asdict(self)


#: The names of the settings that are strengths.
STRENGTHS: tuple[str, ...] = tuple(f.name for f in fields(SyntheticSettings) if f.name != "size")
