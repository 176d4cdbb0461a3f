"""Results side by side as one HTML page: figures, curves, groups, sheets and the worst queries."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hemline.data.manifest import Manifest
from hemline.errors import UsageError
from hemline.evaluation.compared import compare_results, figure
from hemline.evaluation.looks import looks
from hemline.evaluation.stored import StoredResult, check_same_questions
from hemline.views.chart import KINDS, Line, line_chart
from hemline.views.page import write_html
from hemline.views.report_parts import by_number, name_of, section, table
from hemline.views.run_labels import predicted
from hemline.views.run_looks import where_they_look
from hemline.views.run_sheets import sheets

#: k of the curves, and of the table of NDCG.
CURVE = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)
NDCG = (1, 5, 10, 20, 50, 100)
#: Groups of a table by category or column.
GROUPS = 40


def write_report(
    path: Path,
    results: Sequence[StoredResult],
    manifest: Manifest | None = None,
    *,
    title: str = "",
    seed: int = 0,
    models: Sequence[str | os.PathLike[str]] = (),
) -> None:
    """Writes one page without scripts or files from elsewhere.

    Args:
        path: the page.
        results: of the same queries; differences are from the first.
        manifest: the one that was measured, for the sheets; None leaves them out.
        title: of the page.
        seed: of the bootstrap.
        models: measured runs or bundles, whose attention is shown; they need the manifest.

    Raises:
        UsageError: no result, results of different queries, another manifest, or a model that
            wasn't measured.
        DataError: kept ranks are damaged.
        OSError: it can't be written.
    """
    if not results:
        raise UsageError("a report needs a result")
    check_same_questions(results)
    one = results[0].found
    if models and manifest is None:
        raise UsageError("where models look is shown on images: name the manifest, too")
    if manifest is not None and manifest.fingerprint() != one["data_fingerprint"]:
        raise UsageError("the manifest isn't the one that was measured; its fingerprint differs")
    protocol = one["protocol"]
    note = (
        f"{one['queries']:,} queries of {one['products_asked']:,} products, searched among "
        f"{one['gallery_products']:,} products ({one['gallery']:,} pictures); protocol "
        f"{protocol['name']}"
    )
    parts = [
        _leaks(results),
        _summary(results, seed),
        _curves(results),
        _ladder(results),
        _ndcg(results),
        _groups(results),
        predicted(results),
        _time(results),
        sheets(results, manifest),
        "" if manifest is None else where_they_look(results, looks(models, results, manifest)),
        _published(one.get("published", [])),
        _provenance(results),
    ]
    heading = title or "How often the right product comes first"
    write_html(path, "report", heading, note, "".join(parts))


def _leaks(results: Sequence[StoredResult]) -> str:
    return "".join(
        f'<p class="leak" role="note"><b>{html.escape(one.label)}</b> {html.escape(one.leak)}</p>'
        for one in results
        if one.leak
    )


def _summary(results: Sequence[StoredResult], seed: int) -> str:
    every = [set(one.found["intervals"]) for one in results]
    names = [n for n in results[0].found["intervals"] if set.intersection(*every) >= {n}]
    rows = []
    for one in results:
        found = {name: figure(one, name) for name in names}
        cells = [
            f"<b>{f['value']:.3f}</b><small>{f['low']:.3f} – {f['high']:.3f}</small>"
            for f in found.values()
        ]
        rows.append([html.escape(name_of(one)), *cells])
    body = table("Shares from 0 to 1 with 95 % intervals over products", ["", *names], rows)
    if len(results) > 1:
        compared = compare_results(results, names, seed=seed)
        rows = [
            [
                html.escape(f"{pair['of']} less {pair['less']}"),
                *map(_change, pair["figures"].values()),
            ]
            for pair in compared["differences"]
        ]
        caption = "Paired differences on the same queries; grey intervals include 0"
        body += table(caption, ["", *names], rows)
    return section("Figures", body)


def _change(found: Mapping[str, Any]) -> str:
    if found["low"] is None:
        return f"{found['value']:+.3f}<small>no ranks kept</small>"
    unsure = ' class="unsure"' if found["low"] <= 0 <= found["high"] else ""
    interval = f"{found['low']:+.3f} to {found['high']:+.3f}"
    return f"<span{unsure}><b>{found['value']:+.3f}</b><small>{interval}</small></span>"


def _curves(results: Sequence[StoredResult]) -> str:
    most = max(results[0].found["gallery_products"], 2)
    ks = [k for k in CURVE if k <= most]
    lines = []
    for one in results:
        if one.rankings is not None:
            points = [(k, float(one.rankings.measure(f"recall@{k}").mean())) for k in ks]
        else:
            known = {n: v for n, v in one.found.items() if n.startswith("recall@")}
            points = sorted((int(n.partition("@")[2]), float(v)) for n, v in known.items())
        lines.append(Line(name_of(one), points))
    caption = "Share of queries with a right product among the first k products"
    return section("Recall", line_chart("recall", caption, lines, "k products", "recall@k"))


def _ladder(results: Sequence[StoredResult]) -> str:
    ladders = [(one, one.found["ladder"]) for one in results if one.found.get("ladder")]
    if not ladders:
        return ""
    lines = [
        Line(name_of(one), [(step["gallery"], step["recall@20"]) for step in steps])
        for one, steps in ladders
    ]
    chart = line_chart(
        "ladder", "recall@20 by the size of the gallery", lines, "pictures in the gallery",
        "recall@20",
    )  # fmt: skip
    rows = []
    for one, steps in ladders:
        least, most = steps[0], steps[-1]
        low = most["recall@20"]
        ratio = f"{least['recall@20'] / low - 1:+.1%}" if low else "–"
        rows.append([html.escape(name_of(one)), f"{least['recall@20']:.3f}", f"{low:.3f}", ratio])
    sizes = [f"{ladders[0][1][place]['gallery']:,} pictures" for place in (0, -1)]
    caption = (
        "DARN's ratio of increase from the largest gallery to the smallest; less is more robust"
    )
    return section("Size of the gallery", chart + table(caption, ["", *sizes, "increase"], rows))


def _ndcg(results: Sequence[StoredResult]) -> str:
    rows = []
    for one in results:
        kept = one.rankings
        if kept is not None and "tags_found" in kept.arrays:
            cells = [f"{kept.measure(f'ndcg@{k}').mean():.3f}" for k in NDCG]
        elif "ndcg@20" in one.found:
            cells = [f"{one.found['ndcg@20']:.3f}" if k == 20 else "–" for k in NDCG]
        else:
            continue
        rows.append([html.escape(name_of(one)), *cells])
    heads = ["", *(f"NDCG@{k}" for k in NDCG)]
    caption = "DARN's NDCG of the tags shared with the query"
    return section("Shared tags", table(caption, heads, rows) if rows else "")


def _groups(results: Sequence[StoredResult]) -> str:
    tables: dict[str, list[Mapping[str, Any]]] = {}
    for one in results:
        by_column = {"category": one.found["categories"], **one.found.get("slices", {})}
        for title, groups in by_column.items():
            tables.setdefault(title, []).append(groups)
    parts = []
    for title, found in tables.items():
        if len(found) < len(results) or len(found[0]) < 2:
            continue
        heads = [html.escape(title), "queries"]
        for one in results:
            label = html.escape(name_of(one))
            heads += [f"{label}<small>recall@1</small>", f"{label}<small>recall@20</small>"]
        order = sorted(found[0], key=lambda name: -found[0][name]["queries"])
        rows = []
        for name in by_number(order[:GROUPS]):
            cells = [html.escape(name), f"{found[0][name]['queries']:,}"]
            for number, groups in enumerate(found):
                for measure in ("recall@1", "recall@20"):
                    value = groups.get(name, {}).get(measure)
                    cells.append("–" if value is None else _bar(value, number))
            rows.append(cells)
        more = f", the {GROUPS} largest of {len(order)}" if len(order) > GROUPS else ""
        parts.append(table(f"By {title}{more}", heads, rows))
    return section("Groups", "".join(parts))


def _bar(share: float, number: int) -> str:
    filled = f'<i style="width:{100 * share:.0f}%"></i>'
    return f'<span class="bar s{number % KINDS}">{filled}</span>{share:.3f}'


def _time(results: Sequence[StoredResult]) -> str:
    """The time of a search by the vector's size, as Figure 5 of the YNet paper."""
    known = [one for one in results if "search" in one.found]
    rows = [
        [
            html.escape(name_of(one)), f"{one.found['search']['dimensions']:,}",
            f"{one.found['gallery']:,}",
            f"{one.found['search']['processor_seconds_per_1000']:.3f}",
        ]
        for one in sorted(known, key=lambda one: int(one.found["search"]["dimensions"]))
    ]  # fmt: skip
    caption = (
        "Exact search of 1,000 queries by their vectors, without encoding or re-ranking; "
        "published for one query of DARN's: 0.21 s, features included, on 12 cores and two GPUs"
    )
    heads = ["", "numbers in a vector", "pictures", "processor's seconds"]
    return section("Time of a search", table(caption, heads, rows) if rows else "")


def _published(entries: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            html.escape(entry["model"]), html.escape(entry["metric"]),
            "not available" if entry["value"] is None else f"{entry['value']:.3f}",
            html.escape(entry["source"]), html.escape(entry["note"]),
        ]
        for entry in entries
    ]  # fmt: skip
    caption = "Published, not measured here; papers count pictures, galleries and crops may differ"
    heads = ["model", "measure", "value", "source", "note"]
    return section("Published figures", table(caption, heads, rows, True) if rows else "")


def _provenance(results: Sequence[StoredResult]) -> str:
    rows = []
    for one in results:
        found = one.found
        words = found.get("training_overlap", {}).get("says") or found["protocol"].get("trained_on")
        rows.append(
            [
                html.escape(name_of(one)),
                f"<code>{html.escape(str(found['fingerprint'])[:16])}</code>",
                html.escape(str(words or "not recorded")),
                html.escape(str(found.get("started_from") or "not recorded")),
                html.escape(str(found.get("machine", {}).get("hemline", ""))),
            ]
        )
    heads = ["", "fingerprint", "training", "started from", "hemline"]
    body = table("What was measured", heads, rows, True)
    choices = results[0].found["protocol"]
    named = [
        [html.escape(k.replace("_", " ")), html.escape(str(v))]
        for k, v in choices.items()
        if k != "trained_on"
    ]
    body += table("Choices of the protocol", ["choice", "value"], named, True)
    data = html.escape(str(results[0].found["data_fingerprint"]))
    return section("Provenance", f"{body}<p>Manifest <code>{data}</code></p>")
