"""Limits that the engine, the parser of conditions, the service, its client and the docs share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from hemline.errors import UsageError, nearest

#: Default number of products in one answer.
DEFAULT_K = 20
#: Garments of a photo that a search with every garment takes at most, surest first.
MOST_GARMENTS = 8
#: Last rank that a request may reach: offset + k.
MAX_RANK = 10_000
#: Most products in one answer over HTTP.
MAX_HITS = 200
#: Most photos of one product in one request.
MAX_PHOTOS = 32
#: Most columns of an item, and of a manifest or a feed as far as it is stored.
MAX_COLUMNS = 200
#: Most columns of a feed with those that aren't stored.
MAX_FEED_COLUMNS = 1000
#: Most names of columns in a whole catalogue; each takes up to 8 bytes for each image in memory.
MAX_CATALOG_COLUMNS = 1000
#: Most characters of a column's name.
MAX_COLUMN_NAME = 100
#: Most characters of a condition (``where``).
MAX_WHERE = 4000
#: Most comparisons of a condition; each constant and each character of a pattern is one.
MAX_OPERATORS = 4000
#: Most brackets, nots and signs of a condition within one another.
MAX_NESTING = 30
#: Most operations of one query: rows × operators of its condition, or rows × facets.
MAX_WORK = 2_000_000_000
#: Most images that are re-ranked for one query.
MAX_RERANK = 10_000
#: Most columns whose values are counted in one answer.
MAX_FACETS = 50
#: Most pixels of an image file, by its header; phones take up to 108 million.
MAX_PIXELS = 120_000_000
#: The same for images that are sent to the service, unless ``--max-pixels`` sets another limit.
MAX_SENT_PIXELS = 50_000_000
#: Seconds for one answer of the service, unless ``--timeout`` sets another limit.
MAX_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What one query may cost; the table in docs/service.md. A key's own limits have these names.

    Attributes:
        photos: of one product in one request.
        pixels: of each photo, by its header.
        k: products in one answer.
        offset: products before the first one of the answer.
        where_length: characters of a condition.
        where_operators: its comparisons (`MAX_OPERATORS`).
        work: rows × operators, or rows × facets (`MAX_WORK`).
        facets: columns whose values are counted.
        rerank: images that are re-ranked; a query with more candidates isn't refused.
        seconds: after which the query is stopped.
    """

    photos: int = MAX_PHOTOS
    pixels: int = MAX_SENT_PIXELS
    k: int = MAX_HITS
    offset: int = MAX_RANK
    where_length: int = MAX_WHERE
    where_operators: int = MAX_OPERATORS
    work: int = MAX_WORK
    facets: int = MAX_FACETS
    rerank: int = MAX_RERANK
    seconds: float = MAX_SECONDS

    def lowered(self, own: Mapping[str, float]) -> QueryLimits:
        """These limits, with those of ``own`` that are lower in their place.

        Raises:
            UsageError: there is no limit of that name.
        """
        known = {one.name: getattr(self, one.name) for one in fields(self)}
        for name, value in own.items():
            if name not in known:
                raise UsageError(f"there is no limit {name!r}. {nearest(name, known)}")
            known[name] = min(known[name], value)
        return QueryLimits(**known)
