"""The plots, by matplotlib: measured figures with intervals, published ones beside them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from hemline.errors import UsageError
from hemline.reproduce.experiment import Experiment
from hemline.reproduce.outcome import published_of

Found = Mapping[str, Any]
#: A row's label and the figures of one of its protocols.
Entries = list[tuple[str, Mapping[str, Any]]]
#: Lines are told apart by colour, dash and mark.
_DASHES, _MARKS = ("-", "--", "-.", ":"), "osv^D*XPpd<>"
_PUBLISHED = "published, on the paper's data"
_WRAP = 130  # characters of a line under the title


def available() -> bool:
    """Whether matplotlib is installed."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def plot(found: Found, experiment: Experiment, path: Path) -> None:
    """Writes the plot of an experiment as a .png.

    Raises:
        UsageError: nothing was measured.
        ModuleNotFoundError: matplotlib isn't installed.
    """
    if not entries(found) and "drawing" not in found:
        raise UsageError("nothing was measured, so there is nothing to plot")
    listed = len(entries(found)) if _KINDS[experiment.drawn] is _points else 0
    axes = new_axes(max(3.6, 1.8 + 0.32 * listed) if listed else 5.0)
    draw(axes, found, experiment)
    finish(axes, found, path)


def draw(axes: Any, found: Found, experiment: Experiment) -> None:
    """Draws an experiment's figures."""
    _KINDS[experiment.drawn](axes, found, experiment)


def new_axes(height: float = 5.0) -> Any:
    """Axes that need no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def finish(axes: Any, found: Found, path: Path) -> None:
    """Title, what it was measured on, and the file."""
    from matplotlib.font_manager import FontProperties

    data = found["data"]
    own = "the paper's own data" if data["own"] else "not the paper's data"
    lines = [f"scale {found['scale']}, {data['words']} ({own}); {found['label']}"]
    lines += [_how(found)] if found["rows"] else []
    words = "\n".join(part for line in lines for part in textwrap.wrap(line, _WRAP))
    pad = 22 + 12 * words.count("\n")
    axes.set_title(found["title"], loc="left", fontweight="bold", fontsize=11, pad=pad, wrap=True)
    axes.text(0, 1.02, words, transform=axes.transAxes, fontsize=8, color="#555555")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    found_labels = zip(*axes.get_legend_handles_labels(), strict=True)
    named = sorted(found_labels, key=lambda pair: _PUBLISHED in pair[1])  # rows first
    if named:
        axes.legend(
            *zip(*named, strict=True), prop=FontProperties(size=8), frameon=False,
            loc="upper left", bbox_to_anchor=(1.01, 1.0),
        )  # fmt: skip
    axes.figure.savefig(path, dpi=110, metadata={"Software": None})


def _how(found: Found) -> str:
    """Queries, gallery and training, in one line."""
    data, seeds = found["data"], ", ".join(map(str, found["seeds"]))
    words = [f"{data['queries']:,} queries, {data['gallery']:,} gallery pictures", f"seeds {seeds}"]
    words += [f"{found['epochs']} epochs"] if found["epochs"] else []
    return "; ".join([*words, *found["settings"]])


def entries(found: Found) -> Entries:
    """Every measured row of every protocol."""
    several = len(found["protocols"]) > 1
    return [
        (f"{row['name']}, {protocol}" if several else row["name"], {**figures, "row": row})
        for row in found["rows"]
        for protocol, figures in row["protocols"].items()
    ]


def _curve(axes: Any, found: Found, experiment: Experiment) -> None:
    """Recall by k, with its interval at the measured k; the published figure as a cross there."""
    rows = entries(found)
    for number, (label, figures) in enumerate(rows):
        _line(axes, number, label, figures["curve"])
        _crosses(axes, number, figures, found)
        aside = 1 + 0.06 * (number - (len(rows) - 1) / 2)  # bars of several rows lie side by side
        for measure, figure in figures["measured"].items():
            if measure.startswith("recall@"):
                _bar(axes, number, float(measure.partition("@")[2]) * aside, figure)
    axes.set_xscale("log")
    _plain_ticks(axes, [x for _, f in rows for x, _ in f["curve"]])
    words = "k products (logarithmic); bars: 95 % intervals over products"
    axes.set(xlabel=words, ylabel="recall@k", ylim=(0, None))


def _bar(axes: Any, number: int, x: float, figure: Mapping[str, Any]) -> None:
    """The interval of a figure, where it has one."""
    if figure["value"] is None or figure.get("low") is None:
        return
    value = figure["value"]
    reach = [[max(0.0, value - figure["low"])], [max(0.0, figure["high"] - value)]]
    axes.errorbar([x], [value], yerr=reach, fmt="none", color=f"C{number % 10}", capsize=3)


def _crosses(axes: Any, number: int, figures: Mapping[str, Any], found: Found) -> None:
    protocol = next(iter(figures["row"]["protocols"]))
    for measure in (m for m in figures["measured"] if m.startswith("recall@")):
        value = published_of(figures["row"]["published"], measure, protocol)
        if value is not None:
            k = float(measure.partition("@")[2])
            label = _PUBLISHED if number == _first(found, measure) else None
            axes.plot([k], [value], "x", color=f"C{number % 10}", markersize=8, label=label)


def _first(found: Found, measure: str) -> int:
    """The first entry with a published figure, which names them in the legend."""
    known = [
        number
        for number, (_, figures) in enumerate(entries(found))
        if (figures["row"]["published"].get(measure) or {}).get("value") is not None
    ]
    return known[0] if known else -1


def _sizes(axes: Any, found: Found, experiment: Experiment) -> None:
    """Recall@20 by the size of the gallery."""
    rows = entries(found)
    sizes: set[int] = set()
    for number, (label, figures) in enumerate(rows):
        own = figures["measured"].get("recall@20", {}).get("value")
        steps = figures.get("ladder") or [[found["data"]["gallery"], own]]
        sizes.update(size for size, _ in steps)
        _line(axes, number, label, steps)
    wide = _doubled(axes, sorted(sizes))
    for number, (_, figures) in enumerate(rows):
        own = figures["measured"].get("recall@20")
        if own:  # of the whole gallery; bars of several rows lie side by side
            aside = 1 + (0.05 if wide else 0.012) * (number - (len(rows) - 1) / 2)
            _bar(axes, number, max(sizes) * aside, own)
    words = "pictures in the gallery; bars: 95 % intervals over products"
    axes.set(xlabel=words, ylabel="recall@20", ylim=(0, None))


def _doubled(axes: Any, sizes: Sequence[int]) -> bool:
    """Gives the sizes of many galleries, each about twice the one before, equal distances."""
    if sizes[-1] < 20 * sizes[0]:
        return False
    axes.set_xscale("log")
    ticks = [size for size, next_one in pairwise(sizes) if next_one > 1.5 * size] + [sizes[-1]]
    axes.set_xticks(ticks, [f"{size:,}" for size in ticks])
    axes.minorticks_off()
    return True


def _points(axes: Any, found: Found, experiment: Experiment) -> None:
    """A point with its interval for each row, the published figure as a hollow square."""
    rows = entries(found)
    heights = range(len(rows), 0, -1)
    for number, measure in enumerate(experiment.measures):
        shift = 0.18 * (number - (len(experiment.measures) - 1) / 2)
        places = [h - shift for h in heights]
        own = [
            (place, f["measured"][measure])
            for place, (_, f) in zip(places, rows, strict=True)
            if f["measured"][measure]["value"] is not None
        ]
        if own:
            values = [f["value"] for _, f in own]
            low = [max(0.0, f["value"] - f["low"]) for _, f in own]
            high = [max(0.0, f["high"] - f["value"]) for _, f in own]
            axes.errorbar(
                values, [place for place, _ in own], xerr=[low, high], fmt=_MARKS[number],
                color=f"C{number}", capsize=3, label=f"{measure}, {found['label']}",
            )  # fmt: skip
        known = [
            (published_of(f["row"]["published"], measure, _protocol(f)), place)
            for place, (_, f) in zip(places, rows, strict=True)
        ]
        known = [pair for pair in known if pair[0] is not None]
        if known:
            axes.plot(
                [value for value, _ in known], [place for _, place in known], "s",
                markerfacecolor="none", color=f"C{number}",
                label=f"{measure}, {_PUBLISHED}",
            )  # fmt: skip
    axes.set_yticks(list(heights), [label for label, _ in rows], fontsize=8)
    axes.margins(y=0.6 / max(1, len(rows)))
    axes.set(xlabel="share, with 95 % intervals over products", xlim=(0, None))


def _protocol(figures: Mapping[str, Any]) -> str:
    every = figures["row"]["protocols"]
    return next(str(n) for n, one in every.items() if one["measured"] is figures["measured"])


def _groups(axes: Any, found: Found, experiment: Experiment) -> None:
    """Recall@20 of each group, a bar for each row."""
    rows = [(label, f["groups"]) for label, f in entries(found) if f.get("groups")]
    names = list(dict.fromkeys(name for _, groups in rows for name in groups))
    width = 0.8 / max(1, len(rows))
    for number, (label, groups) in enumerate(rows):
        shares = [groups.get(name, {}).get("recall@20", 0.0) for name in names]
        places = [at + number * width for at in range(len(names))]
        axes.bar(places, shares, width * 0.95, label=label)
    middles = [at + 0.4 - width / 2 for at in range(len(names))]
    axes.set_xticks(middles, names, rotation=35, ha="right", fontsize=8)
    told_by = next((f["by"] for _, f in entries(found) if f.get("groups")), experiment.by)
    axes.set(ylabel="recall@20", ylim=(0, 1), xlabel=told_by)


def _bars(axes: Any, found: Found, experiment: Experiment) -> None:
    """Bars of what isn't a search: label → number, with its unit."""
    drawing = found["drawing"]
    labels, values = list(drawing["bars"]), list(drawing["bars"].values())
    axes.barh(labels[::-1], values[::-1], color="C0")
    axes.tick_params(axis="y", labelsize=8)
    axes.set(xlabel=drawing["unit"])


def _channels(axes: Any, found: Found, experiment: Experiment) -> None:
    """Channel weights in falling order, each as a share of its row's largest."""
    for number, (label, weights) in enumerate(found["drawing"]["weights"].items()):
        most = max(weights) or 1.0
        share = [[(at + 1) / len(weights), value / most] for at, value in enumerate(weights)]
        _line(axes, number, label, share, marks=False)
    axes.set(xlabel="share of the channels", ylabel="weight, as a share of the largest")


def _line(
    axes: Any, number: int, label: str, points: Sequence[Sequence[float]], marks: bool = True
) -> None:
    axes.plot(
        [x for x, _ in points], [y for _, y in points], color=f"C{number % 10}",
        linestyle=_DASHES[number // 10 % len(_DASHES)],
        marker=_MARKS[number % len(_MARKS)] if marks else None, markersize=4, label=label,
    )  # fmt: skip


def _plain_ticks(axes: Any, xs: Sequence[float]) -> None:
    from matplotlib.ticker import NullFormatter

    ticks = [x for x in (1, 2, 5, 10, 20, 50, 100) if x <= max(xs)]
    axes.set_xticks(ticks, [str(x) for x in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())


_KINDS: Mapping[str, Callable[[Any, Found, Experiment], None]] = {
    "curve": _curve,
    "sizes": _sizes,
    "points": _points,
    "groups": _groups,
    "hits": _points,
    "attention": _points,
    "time": _bars,
    "channels": _channels,
    "detectors": _points,
}
