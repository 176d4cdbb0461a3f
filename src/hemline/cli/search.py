"""``hemline search``: photos in, products out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, natives_hushed, say
from hemline.cli._search_output import tell
from hemline.limits import DEFAULT_K

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog
    from hemline.search.engine import Engine
    from hemline.types import Hit, SearchRequest, SearchResult

_SHOWN = (".html", ".png", ".jpg", ".jpeg")

_Catalog = Annotated[Path, typer.Argument(metavar="CATALOG", help="The catalogue's folder.")]
_Photos = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[PHOTO...]", help="One or more photos; none with --like."),
]
_K = Annotated[int, typer.Option("-k", help="Number of products.")]
_Offset = Annotated[int, typer.Option(help="Number of first products to skip.")]
_Page = Annotated[
    int | None, typer.Option(help="The page of k products, from 1; instead of --offset.")
]
_Where = Annotated[
    str | None,
    typer.Option(
        help="Only products that meet a condition over the stored columns: "
        "\"category = 'dress' and price < 50 and 'floral' in tags\"."
    ),
]
_Box = Annotated[
    str | None,
    typer.Option(help="The part with the product: x1,y1,x2,y2 in pixels of the upright photo."),
]
_Whole = Annotated[
    bool,
    typer.Option("--whole", help="Search with the whole photo alone, not with its garments."),
]
_Detect = Annotated[
    bool,
    typer.Option(
        "--detect", help="Find the garments of a photo and take the best, as hemline detect."
    ),
]
_Each = Annotated[
    bool, typer.Option("--each", help="Find the garments of one photo: an answer for each of them.")
]
_Together = Annotated[
    bool,
    typer.Option("--together", help="All photos show one product: one answer for all of them."),
]
_Like = Annotated[
    str | None, typer.Option(metavar="ITEM", help="Search with a product of the catalogue.")
]
_Facets = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMNS",
        help="Count the values of these columns (category,tags.color,price), in products that "
        "meet --where.",
    ),
]
_Rerank = Annotated[bool, typer.Option(help="Re-rank the first hits, where the model can.")]
_Show = Annotated[
    Path | None, typer.Option(help="Draw the photos and their hits: an .html, .png or .jpg file.")
]
_Threads = Annotated[
    int | None, typer.Option(help="Threads of the street tower; all cores by default.")
]


def search(
    catalog: _Catalog,
    photos: _Photos = None,
    k: _K = DEFAULT_K,
    offset: _Offset = 0,
    page: _Page = None,
    where: _Where = None,
    box: _Box = None,
    whole: _Whole = False,
    detect: _Detect = False,
    each: _Each = False,
    together: _Together = False,
    like: _Like = None,
    facets: _Facets = None,
    rerank: _Rerank = True,
    show: _Show = None,
    threads: _Threads = None,
    as_json: JsonOption = False,
) -> None:
    """Find the products of photos in a catalogue.

    A photo is searched whole and by every garment that the bundle's detector finds in it; a
    product's score is the highest of them. --box, --detect, --each and --whole say otherwise.

    The JSON of one photo is its answer (hits, facets, detections, timings_ms …); of several photos,
    and with --each, it has the answers under "results". A higher score is better.

    Example: hemline search shop street.jpg -k 5 --where "price < 50" --show hits.png

    Example: hemline search shop front.jpg side.jpg --together --facets category

    Example: hemline search shop street.jpg --each
    """
    from hemline.catalog.catalog import Catalog
    from hemline.errors import UsageError
    from hemline.search.engine import Engine
    from hemline.search.result_json import result_json

    files = photos or []
    _check(
        files, like, box=box is not None, whole=whole, together=together, detect=detect, each=each
    )
    if show is not None and show.suffix.lower() not in _SHOWN:
        raise UsageError(f"--show draws an .html, .png or .jpg file, not {show.name}")
    queries = _queries(files, like, together)
    given: dict[str, Any] = {"k": k, "offset": _start(offset, page, k), "where": where}
    given |= {"facets": facets, "detect": detect, "boxes": [] if box is None else [box]}
    parts = box is not None or whole or detect or each or together or like is not None
    with Catalog.open(catalog) as opened, natives_hushed():
        engine = Engine(opened, threads=threads, rerank=rerank)
        given["every"] = not parts and opened.bundle.info.detector is not None
        requests = [_request(query, given, show is not None) for query in queries]
        answers = _answers(engine, requests, each)
        queries *= len(answers) if each else 1
        if show is not None:
            _draw(show, opened, queries, answers)
    pairs = zip(queries, answers, strict=True)
    results = [{**query, **result_json(answer, _hit_json)} for query, answer in pairs]
    emit(results[0] if len(results) == 1 and not each else {"results": results}, as_json, tell)


def _answers(engine: Engine, requests: Sequence[SearchRequest], each: bool) -> list[SearchResult]:
    """An answer to each request, or to each garment of the only one."""
    if each:
        return engine.answer_each(requests[0])
    return [engine.answer(request) for request in requests]


def _start(offset: int, page: int | None, k: int) -> int:
    """Raises UsageError for a page before the first, or a page and an offset."""
    from hemline.errors import UsageError

    if page is not None and (page < 1 or offset):
        raise UsageError("--page is from 1, and is given instead of --offset")
    return offset if page is None else (page - 1) * k


def _check(
    photos: Sequence[Path],
    like: str | None,
    *,
    box: bool,
    whole: bool,
    together: bool,
    detect: bool,
    each: bool,
) -> None:
    """Raises UsageError for options that contradict each other."""
    from hemline.errors import UsageError

    several, finds = len(photos) > 1, detect or each
    for wrong, message in (
        (
            like is not None and (photos or together or box),
            "--like searches with a product of the catalogue: give no photo with it",
        ),
        (
            like is None and not photos,
            "name a photo, or a product of the catalogue with --like ITEM",
        ),
        (box and whole, "--box and --whole contradict each other; give one of them"),
        (box and several, "--box is of one photo; search one photo at a time with it"),
        (
            finds and (box or whole or like is not None),
            "--detect and --each find the box: give no --box, --whole or --like",
        ),
        (
            each and (together or detect),
            "--each answers for each garment: give no --together or --detect",
        ),
        (each and several, "--each is of one photo; search one photo at a time with it"),
    ):
        if wrong:
            raise UsageError(message)


def _queries(photos: Sequence[Path], like: str | None, together: bool) -> list[dict[str, Any]]:
    """What is searched with, as the JSON names it."""
    if like is not None:
        return [{"like": like}]
    if together:
        return [{"photos": [str(photo) for photo in photos]}]
    return [{"photo": str(photo)} for photo in photos]


def _photos(query: dict[str, Any]) -> list[str]:
    return query["photos"] if "photos" in query else [query["photo"]] if "photo" in query else []


def _request(query: dict[str, Any], given: dict[str, Any], attention: bool) -> SearchRequest:
    from hemline.types import SearchRequest

    what = {"photos": _photos(query), "item_id": query.get("like"), "attention": attention}
    return SearchRequest.model_validate(given | what)


def _hit_json(hit: Hit) -> dict[str, Any]:
    """The hit with its stored columns beside its own fields."""
    own = {"item_id": hit.item_id, "image_id": hit.image_id, "score": hit.score, "rank": hit.rank}
    return own | {n: v for n, v in hit.columns.items() if n not in ("score", "rank")}


def _draw(
    show: Path, catalog: Catalog, queries: Sequence[dict[str, Any]], answers: Sequence[SearchResult]
) -> None:
    """Draws each answer beside its photo, the first of several."""
    from hemline.errors import CatalogError
    from hemline.views.hits import write_hits

    pairs = []
    for query, answer in zip(queries, answers, strict=True):
        image: Path | None = Path(_photos(query)[0]) if "like" not in query else None
        if image is None:
            copies = [catalog.image_path(row) for row in catalog.store.items([query["like"]])]
            image = next((path for path in copies if path is not None), None)
        if image is None:
            raise CatalogError(f"the catalogue keeps no image of {query['like']} to draw")
        pairs.append((image, answer))
    write_hits(show, catalog, pairs)
    say(f"drawn in {show}")


COMMANDS = {"search": search}
