"""The part of a page of results that shows predicted tags and landmarks (`evaluate --labels`)."""

from __future__ import annotations

import html
from collections.abc import Sequence

from hemline.evaluation.stored import StoredResult
from hemline.views.report_parts import name_of, section, table

#: (the whole, each, the figure of each, what it is), as AHBN's Figures 4 and 5.
_KINDS = (
    ("attribute_map", "attribute_types", "map", "Mean average precision of the tags of each name"),
    (
        "landmark_error", "landmarks", "nme",
        "Distance of visible landmarks, as a share of the square's side; less is better",
    ),
)  # fmt: skip


def predicted(results: Sequence[StoredResult]) -> str:
    """A table of tags and one of landmarks: a row of each name, a column of each result."""
    parts = []
    for whole, each, key, caption in _KINDS:
        known = [one for one in results if one.found.get("labels", {}).get(whole) is not None]
        if not known:
            continue
        every = [one.found["labels"] for one in known]
        rows = [["<b>all</b>", *(f"<b>{labels[whole]:.3f}</b>" for labels in every)]]
        for name in dict.fromkeys(name for labels in every for name in labels[each]):
            cells = [
                f"{labels[each][name][key]:.3f}" if name in labels[each] else "–"
                for labels in every
            ]
            rows.append([html.escape(name), *cells])
        parts.append(table(caption, ["", *(html.escape(name_of(one)) for one in known)], rows))
    return section("Attributes and landmarks", "".join(parts))
