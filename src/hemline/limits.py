"""Limits that the engine, the parser of conditions, the service, its client and the docs share."""

from __future__ import annotations

from dataclasses import dataclass

#: Default number of products in one answer.
DEFAULT_K = 20
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
    """What one query may cost.

    Attributes:
        operators: comparisons of a condition (`MAX_OPERATORS`).
        work: rows × operators, or rows × facets (`MAX_WORK`).
    """

    operators: int = MAX_OPERATORS
    work: int = MAX_WORK
