"""``hemline bench``: how fast this machine answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, out, progress

_NAMES = {
    "rerank": "re-rank",
    "whole": "whole query",
    "whole_detected": "whole, with detection",
    "cpu": "whole query, CPU time",
}


def bench(
    bundle: Annotated[
        str | None,
        typer.Argument(help="A bundle's folder or name; the one that ships by default."),
    ] = None,
    images: Annotated[
        int, typer.Option(min=1, help="Made vectors to search among, as long as the bundle's.")
    ] = 200_000,
    repeats: Annotated[int, typer.Option(min=1, help="Queries with a small photo.")] = 100,
    threads: Annotated[
        int, typer.Option(help="Threads of one run of a graph; the service takes one.")
    ] = 1,
    photo: Annotated[
        Path | None,
        typer.Option(help="Ask with this JPEG instead of made ones, which show no garment."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure each step of a query on this machine, beside the same path from public parts.

    The parts are simplejpeg or Pillow, ONNX Runtime with the bundle's graphs, a FAISS index with
    exact re-scoring, and SQLite. A ratio is hemline's median over theirs: other work on the machine
    changes the milliseconds, and the ratios little. Takes about a minute.

    Example: hemline bench --images 50000

    Example: hemline bench my-bundle --photo street.jpg --json
    """
    from hemline.evaluation.speed.run import SpeedOptions, measure
    from hemline.runtime.bundle import Bundle

    options = SpeedOptions(images=images, repeats=repeats, threads=threads, photo=photo)
    opened = Bundle.default() if bundle is None else Bundle.open(bundle)
    emit(measure(opened, options, progress), as_json, _tell)


def _tell(result: Mapping[str, Any]) -> None:
    machine, made = result["machine"], result["bundle"]
    small, large = result["photo"], result["large"]
    out(f"{machine['processor']}; {machine['cores']} cores, {machine['system']}")
    out(
        f"{made['name']} ({made['precision']}), {result['threads']} thread(s) a graph, among "
        f"{result['images']:,} vectors of {made['embedding_dim']} numbers"
    )
    size = f"photo {small['width']}x{small['height']}, milliseconds"
    out(f"\n{size:38} {'hemline p50':>11} {'p95':>8} {'parts p50':>11} {'p95':>8} {'ratio':>6}")
    for step, row in result["steps"].items():
        out(_row(_NAMES.get(step, step), row))
    if made["detector"] is None:
        out("(the bundle has no detector)")
    out(f"\nphoto {large['width']}x{large['height']}")
    for step in ("decode", "prepare", "whole"):
        out(_row(_NAMES.get(step, step), large["steps"][step]))
    times = large["times_small"]
    out(
        f"The large photo takes {times['hemline']} times as long as the small one "
        f"(parts: {times['public_parts']})."
    )
    ours, parts = result["embedding"]["hemline"], result["embedding"]["public_parts"]
    out(
        f"\nAdded to a catalogue: {ours['images_per_s']:,} images a second from files, "
        f"{ours['cpu_ms']} ms of CPU time each (decoded and embedded by parts alone: "
        f"{parts['images_per_s']:,}, {parts['cpu_ms']} ms)."
    )
    name, recall = next((k, v) for k, v in result.items() if k.startswith("recall@"))
    out(f"The search's {name}: {recall['hemline']} (parts: {recall['public_parts']}).")
    out("; ".join(f"{package} {version}" for package, version in result["versions"].items()))
    load = max((one for one in result["load"] if one is not None), default=0)
    if load > machine["cores"]:
        out(f"The machine was busy (load {load:g}): compare the ratios and CPU times.")


def _row(name: str, row: Mapping[str, Any]) -> str:
    figures = [row[side][p] for side in ("hemline", "public_parts") for p in ("p50_ms", "p95_ms")]
    own, own95, parts, parts95 = (f"{value:.2f}" for value in figures)
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    return f"{name:38} {own:>11} {own95:>8} {parts:>11} {parts95:>8} {ratio:>6}"


COMMANDS = {"bench": bench}
