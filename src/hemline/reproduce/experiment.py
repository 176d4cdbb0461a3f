"""A table or figure of a paper: rows, a protocol, measures, published figures, a drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hemline.data.protocol import Crop
from hemline.types import Domain

#: How an experiment is drawn: recall by k; by the gallery's size; a point with its interval for
#: each measure; by category or another column; and what isn't a search (`hemline.reproduce.run`).
Drawn = Literal[
    "curve", "sizes", "points", "groups", "hits", "attention", "channels", "time", "detectors"
]
#: What a row's training needs of the data besides items.
Need = Literal["attributes", "landmarks"]


@dataclass(frozen=True)
class Row:
    """One system of a table.

    Attributes:
        name: as the paper calls it.
        recipe: that ships; empty for a row that isn't trained (`instead` says why).
        settings: over the recipe's scale.
        paper: further settings at the scale ``paper`` only.
        stages: stage → its share of the epochs at ``bench``; at ``paper`` the recipe's own count.
        start: the row whose trained network this one starts from at ``smoke`` and ``bench``, as a
            stand-in for ImageNet's weights; at ``paper`` too with ``start_always``.
        published: measure → share 0-1, or None where the text has no figure; where protocols
            differ, ``recall@50 1k`` is of the one that ends in ``-1k``.
        over: (another row's name, published difference of the first measure or None).
        needs: labels that the data must have.
        transfer: the recipe that goes on without these labels from a given run that learned them.
        gaussians: of Fisher vectors, which are fitted instead of trained.
        instead: of a row that isn't trained here: why, and what to give for it.
        note: to the published figures.
    """

    name: str
    recipe: str = ""
    settings: tuple[str, ...] = ()
    paper: tuple[str, ...] = ()
    stages: Mapping[str, float] = field(default_factory=dict)
    start: Row | None = None
    start_always: bool = False
    published: Mapping[str, float | None] = field(default_factory=dict)
    over: tuple[str, float | None] | None = None
    needs: tuple[Need, ...] = ()
    transfer: str = ""
    gaussians: int = 0
    instead: str = ""
    note: str = ""


@dataclass(frozen=True)
class Experiment:
    """One name of ``hemline reproduce``.

    Attributes:
        title: one line, with the paper's number of the table or figure.
        paper: abbreviated, as in `hemline.data.protocol.Published`.
        data: the paper's own data set, a name of `hemline.datasets.READERS`.
        protocols: on that data, one result for each; what is trained keeps out the last one's.
        rows: in the paper's order.
        stand_ins: protocols on drawn data.
        measures: of `hemline.evaluation.rankings.MEASURES`; the first is the paper's headline.
        drawn: how it is drawn.
        crop: of training and search on drawn data; on the paper's own the protocol's and recipe's.
        by: column of the groups.
        slices: columns of the data by which the rows and their differences are told apart, where it
            has them.
        labels: whether tags and landmarks that the rows predict are measured, each by itself.
        cut: domains whose images the paper crops by a detector; ``--detector`` does.
        by_size: on drawn data, a quarter of the products are asked for, the others distract.
        note: what the text leaves open.
    """

    title: str
    paper: str
    data: str
    protocols: tuple[str, ...]
    rows: tuple[Row, ...]
    stand_ins: tuple[str, ...] = ("synthetic",)
    measures: tuple[str, ...] = ("recall@20",)
    drawn: Drawn = "points"
    crop: Crop = "box"
    by: str = "category"
    slices: tuple[str, ...] = ()
    labels: bool = False
    cut: tuple[Domain, ...] = ("street", "shop")
    by_size: bool = False
    note: str = ""
