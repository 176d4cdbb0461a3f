"""Options that override a protocol's choices."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.errors import UsageError, nearest

if TYPE_CHECKING:
    from hemline.data.protocol import Choices

Crop = Annotated[
    str | None,
    typer.Option(
        help="none: whole images; query: photos cropped to their box; box: both sides; "
        "detected-query, detected: the same with the boxes of the detector. Default: the "
        "protocol's own."
    ),
]
WithinCategory = Annotated[
    bool | None,
    typer.Option(
        "--within-category/--all-categories",
        help="Search in the query's category only, or in all. Default: the protocol's own.",
        show_default=False,
    ),
]
Several = Annotated[
    str | None,
    typer.Option(
        help="Queries of a photo with several rows: row (each row), photo (one), pair (one for "
        "each pair that names it). Default: the protocol's own."
    ),
]
Unmatched = Annotated[
    str | None,
    typer.Option(
        help="A query whose product isn't in the gallery: miss or drop. Default: the protocol's."
    ),
]


def choices(
    crop: str | None,
    within_category: bool | None,
    several: str | None,
    unmatched: str | None,
    fold: int | None,
    share: float,
    seed: int,
) -> Choices:
    """The options as `Choices`; raises `UsageError` for an unknown value of an option."""
    from hemline.data.protocol import CROPS, SEVERAL, UNMATCHED, Choices

    known: Any = {
        "crop": _one_of("--crop", crop, CROPS),
        "several": _one_of("--several", several, SEVERAL),
        "unmatched": _one_of("--unmatched", unmatched, UNMATCHED),
    }
    return Choices(within_category=within_category, fold=fold, share=share, seed=seed, **known)


def _one_of(option: str, value: str | None, known: Collection[str]) -> str | None:
    if value is not None and value not in known:
        *some, last = known
        words = f"{', '.join(some)} or {last}"
        raise UsageError(f"{option} is {words}, not {value!r}. {nearest(value, known)}")
    return value
