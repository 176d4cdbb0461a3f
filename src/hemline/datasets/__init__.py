"""Data sets: one file per data set, with its reader, its protocols and its published figures.

A module without a leading underscore declares `READERS` (formats that can be read), `PROTOCOLS`
(ways to measure) or both. An installed package adds its own by the entry-point group
``hemline.datasets`` (docs/plugins.md).
"""

from __future__ import annotations

from dataclasses import replace

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec
from hemline.datasets._base import ReaderSpec, ReadReport
from hemline.errors import UsageError
from hemline.registry import Registry

__all__ = ["PROTOCOLS", "READERS", "ReadReport", "ReaderSpec", "build"]

#: A format's name → its `ReaderSpec`.
READERS: Registry[ReaderSpec] = Registry(
    "hemline.datasets", "READERS", "data format", group="hemline.datasets", beside=("PROTOCOLS",)
)
#: A protocol's name → its `ProtocolSpec`; `build` makes it over a manifest.
PROTOCOLS: Registry[ProtocolSpec] = Registry(
    "hemline.datasets",
    "PROTOCOLS",
    "protocol",
    group="hemline.datasets",
    beside=("READERS",),
    renamed={"atelier": "synthetic"},
)


def build(name: str, manifest: Manifest, choices: Choices | None = None) -> tuple[Protocol, ...]:
    """The protocol ``name`` over ``manifest``: one, or one for each fold or category.

    Raises:
        UsageError: no protocol of that name, no such fold, or a negative seed.
        DataError: the manifest lacks rows that the protocol needs.
    """
    spec = PROTOCOLS[name]
    chosen, differs = spec.decide(choices or Choices())
    if chosen.seed < 0:
        raise UsageError(f"a seed is 0 or more, not {chosen.seed}")
    built = spec.build(manifest, chosen)
    if chosen.fold is not None and not any(p.group and p.group.kind == "folds" for p in built):
        raise UsageError(f"protocol {name!r} has no folds; leave the fold out")
    present = tuple(column for column in spec.slices if column in manifest.names)
    return tuple(
        replace(
            part,
            choices=part.choices | ({"differs": differs} if differs else {}),
            slices=present,
            published=part.published or spec.published,
            measures=spec.measures,
        )
        for part in built
    )
