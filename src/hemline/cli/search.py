"""``hemline search``: photos in, products out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, natives_hushed, say
from hemline.cli._search_output import tell

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog
    from hemline.search.engine import Engine
    from hemline.types import Box, SearchResult

_SHOWN = (".html", ".png", ".jpg", ".jpeg")


def search(
    catalog: Annotated[Path, typer.Argument(metavar="CATALOG", help="The catalogue's folder.")],
    photos: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PHOTO...]", help="One or more photos; none with --like."),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many products.")] = 20,
    offset: Annotated[int, typer.Option(help="Pass over this many of the first products.")] = 0,
    page: Annotated[
        int | None, typer.Option(help="The page of k products, from 1; instead of --offset.")
    ] = None,
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
        bool,
        typer.Option("--whole", help="Take the whole photo (the default without --box, --detect)."),
    ] = False,
    detect: Annotated[
        bool,
        typer.Option(
            "--detect",
            help="Find the garments of a photo and take the best, as hemline detect.",
        ),
    ] = False,
    each: Annotated[
        bool,
        typer.Option("--each", help="Find the garments of one photo: an answer for each of them."),
    ] = False,
    together: Annotated[
        bool,
        typer.Option("--together", help="All photos show one product: one answer for all of them."),
    ] = False,
    like: Annotated[
        str | None,
        typer.Option(metavar="ITEM", help="Search with a product of the catalogue."),
    ] = None,
    facets: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMNS",
            help="Count the values of these columns (category,tags.color,price), in products that "
            "meet --where.",
        ),
    ] = None,
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

    With one photo the JSON is its answer (hits, timings_ms, box, offset, more, revision, facets,
    detections); with several photos, and with --each, it has them under "results". Score: higher is
    better, falling from the first hit to the last.

    Example: hemline search shop street.jpg -k 5 --where "price < 50" --show hits.png
    Example: hemline search shop front.jpg side.jpg --together --facets category
    Example: hemline search shop street.jpg --each
    """
    from hemline.catalog.catalog import Catalog
    from hemline.errors import UsageError
    from hemline.search.engine import Engine
    from hemline.types import Box

    photos = photos or []
    _check(photos, box, whole, together, like)
    _check_detection(photos, box, whole, together, like, detect, each)
    if show is not None and show.suffix.lower() not in _SHOWN:
        raise UsageError(f"--show draws an .html, .png or .jpg file, not {show.name}")
    if page is not None and (page < 1 or offset):
        raise UsageError("--page is from 1, and is given instead of --offset")
    start = offset if page is None else (page - 1) * k
    used = Box.parse(box) if box is not None else None
    columns = [name.strip() for name in (facets or "").split(",") if name.strip()]
    with Catalog.open(catalog) as opened, natives_hushed():
        engine = Engine(opened, threads=threads, rerank=rerank)
        if each:
            answers = engine.search_each(photos[0], k, where, offset=start, facets=columns)
            photos = photos * len(answers)
        else:
            answers = _answers(
                *(engine, photos, together, like),
                box=used,
                k=k,
                where=where,
                start=start,
                facets=columns,
                detect=detect,
            )
        if show is not None:
            _draw(show, opened, photos, like, answers)
            say(f"drawn in {show}")
    results = [
        {**asked, **_plain(answer)}
        for asked, answer in zip(_asked(photos, together, like), answers, strict=True)
    ]
    alone = len(results) == 1 and not each
    emit(results[0] if alone else {"results": results}, as_json, tell)


def _check(
    photos: Sequence[Path], box: str | None, whole: bool, together: bool, like: str | None
) -> None:
    """
    Raises:
        UsageError: options that contradict each other.
    """
    from hemline.errors import UsageError

    if like is not None and (photos or together or box is not None):
        raise UsageError("--like searches with a product of the catalogue: give no photo with it")
    if like is None and not photos:
        raise UsageError("name a photo, or a product of the catalogue with --like ITEM")
    if box is not None and whole:
        raise UsageError("--box and --whole contradict each other; give one of them")
    if box is not None and len(photos) > 1:
        raise UsageError("--box is of one photo; search one photo at a time with it")


def _check_detection(
    photos: Sequence[Path],
    box: str | None,
    whole: bool,
    together: bool,
    like: str | None,
    detect: bool,
    each: bool,
) -> None:
    """
    Raises:
        UsageError: options that contradict each other.
    """
    from hemline.errors import UsageError

    if (detect or each) and (box is not None or whole or like is not None):
        raise UsageError("--detect and --each find the box: give no --box, --whole or --like")
    if each and (together or detect):
        raise UsageError("--each answers for each garment: give no --together or --detect")
    if each and len(photos) > 1:
        raise UsageError("--each is of one photo; search one photo at a time with it")


def _answers(
    engine: Engine,
    photos: Sequence[Path],
    together: bool,
    like: str | None,
    *,
    box: Box | None,
    k: int,
    where: str | None,
    start: int,
    facets: Sequence[str],
    detect: bool,
) -> list[SearchResult]:
    """One for each of `_asked`."""
    if like is not None:
        return [engine.like(like, k, where, offset=start, facets=facets)]
    if together:
        return [
            engine.search_together(
                photos, k, None, where, offset=start, facets=facets, detect=detect
            )
        ]
    return [
        engine.search(photo, k, box, where, offset=start, facets=facets, detect=detect)
        for photo in photos
    ]


def _asked(photos: Sequence[Path], together: bool, like: str | None) -> list[dict[str, Any]]:
    """What was searched with, as the JSON names it."""
    if like is not None:
        return [{"like": like}]
    if together:
        return [{"photos": [str(photo) for photo in photos]}]
    return [{"photo": str(photo)} for photo in photos]


def _plain(answer: SearchResult) -> dict[str, Any]:
    from hemline.data.garments import group_of

    return {
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
        "offset": answer.offset,
        "more": answer.more,
        "revision": answer.revision,
        "facets": {name: dict(facet) for name, facet in answer.facets.items()},
        "detections": [
            {
                "box": [round(v, 2) for v in found.box],
                "category": found.category,
                "group": group_of(found.category),
                "score": found.score,
            }
            for found in answer.detections
        ],
    }


def _draw(
    show: Path,
    catalog: Catalog,
    photos: Sequence[Path],
    like: str | None,
    answers: Sequence[SearchResult],
) -> None:
    """Draws each answer beside what was searched with; of several photos the first stands there."""
    from hemline.errors import CatalogError
    from hemline.views.hits_image import draw_results
    from hemline.views.hits_page import write_answers

    pictures = list(photos)
    if like is not None:
        copies = [catalog.picture(row) for row in catalog.store.items([like])]
        pictures = [path for path in copies if path is not None][:1]
        if not pictures:
            raise CatalogError(f"the catalogue keeps no picture of {like} to draw")
    draw = write_answers if show.suffix.lower() == ".html" else draw_results
    draw(show, catalog, list(zip(pictures, answers, strict=False)))


COMMANDS = {"search": search}
