"""``hemline search``: photos in, products out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, natives_hushed, printable, say


def search(
    catalog: Annotated[Path, typer.Argument(metavar="CATALOG", help="The catalogue's folder.")],
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="One or more photos.")],
    k: Annotated[int, typer.Option("-k", help="How many products.")] = 20,
    where: Annotated[
        str | None,
        typer.Option(
            help="Only products of which this is true, over the stored columns: "
            "\"category = 'dress' and price < 50 and 'floral' in tags\"."
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(help="Where the product is: x1,y1,x2,y2 in pixels of the upright photo."),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Take the whole photo (the default without --box).")
    ] = False,
    rerank: Annotated[
        bool, typer.Option(help="Look again at the first hits, where the model can.")
    ] = True,
    show: Annotated[
        Path | None,
        typer.Option(help="Draw the photos and their hits: an .html, .png or .jpg file."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the street tower; all cores by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find the products of photos in a catalogue.

    With one photo the JSON is its answer (hits, timings_ms, box); with several it has them under
    "results". Score: higher is better, falling from the first hit to the last.

    Example: hemline search shop street.jpg -k 5 --where "price < 50" --show hits.png
    """
    from hemline.errors import UsageError
    from hemline.search.catalog import Catalog
    from hemline.search.engine import Engine
    from hemline.types import Box

    if box is not None and whole:
        raise UsageError("--box and --whole contradict each other; give one of them")
    if box is not None and len(photos) > 1:
        raise UsageError("--box is of one photo; search one photo at a time with it")
    if show is not None and show.suffix.lower() not in (".html", ".png", ".jpg", ".jpeg"):
        raise UsageError(f"--show draws an .html, .png or .jpg file, not {show.name}")
    used = Box.parse(box) if box is not None else None
    with Catalog.open(catalog) as opened, natives_hushed():
        engine = Engine(opened, threads=threads, rerank=rerank)
        answers = [engine.search(photo, k, used, where) for photo in photos]
        if show is not None:
            from hemline.evaluation.answers import write_answers
            from hemline.search.picture import draw_results

            draw = write_answers if show.suffix.lower() == ".html" else draw_results
            draw(show, opened, list(zip(photos, answers, strict=True)))
            say(f"drawn in {show}")
    results = [
        {
            "photo": str(photo),
            "hits": [
                {
                    "item_id": hit.item_id,
                    "image_id": hit.image_id,
                    "score": hit.score,
                    "rank": hit.rank,
                    **{n: v for n, v in hit.columns.items() if n not in ("score", "rank")},
                }
                for hit in answer.hits
            ],
            "timings_ms": dict(answer.timings_ms),
            "box": None if answer.box is None else list(answer.box),
        }
        for photo, answer in zip(photos, answers, strict=True)
    ]
    emit(results[0] if len(results) == 1 else {"results": results}, as_json, _tell)


_FIRST = ("title", "price")
_KNOWN = ("item_id", "image_id", "score", "rank", "category", "tags")


def _tell(result: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for one in result.get("results", [result]):
        title = Text(printable(f"{one['photo']}  ({one['timings_ms']['total']:.0f} ms)"))
        table = Table(title=title, title_justify="left", expand=True)
        table.add_column("rank", justify="right", no_wrap=True)
        table.add_column("item_id", no_wrap=True)
        table.add_column("score", justify="right", no_wrap=True)
        table.add_column("category", no_wrap=True)
        table.add_column("stored", no_wrap=True, overflow="ellipsis", ratio=1)
        for hit in one["hits"]:
            cells = (hit["rank"], hit["item_id"], f"{hit['score']:.3f}", hit["category"])
            table.add_row(*(Text(printable(str(cell))) for cell in (*cells, _stored(hit))))
        if one["hits"]:
            console.print(table)
        else:
            console.print(f"{one['photo']}: no product is found", markup=False, highlight=False)


def _stored(hit: Mapping[str, Any]) -> str:
    """The further columns in a line, what a shopper reads first at its start."""
    names = [name for name in hit if name not in _KNOWN]
    names.sort(key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    shown = [
        f"{name} {value:g}"
        if isinstance(value, float)
        else f"{name} {value}".removeprefix("title ")
        for name, value in ((name, hit[name]) for name in names)
    ]
    return ", ".join([*shown, *hit["tags"]])


COMMANDS = {"search": search}
