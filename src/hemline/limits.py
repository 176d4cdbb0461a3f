"""Limits that the engine, the parser of conditions, the service, its client and the docs share."""

from __future__ import annotations

#: Default number of products in one answer.
DEFAULT_K = 20
#: Last rank that a request may reach: offset + k.
MAX_RANK = 10_000
#: Most products in one answer over HTTP.
MAX_HITS = 200
#: Most photos of one product in one request.
MAX_PHOTOS = 32
#: Most characters of a condition (``where``).
MAX_WHERE = 4000
#: Most columns whose values are counted in one answer.
MAX_FACETS = 50
#: Most pixels of an image file, by its header; phones take up to 108 million.
MAX_PIXELS = 120_000_000
#: The same for images that are sent to the service, unless ``--max-pixels`` sets another limit.
MAX_SENT_PIXELS = 50_000_000
