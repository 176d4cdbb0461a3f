"""Metrics of retrieval, as `hemline.metrics`; `hemline.ranking.metrics` has the code."""

from hemline.ranking.metrics import *  # noqa: F403
from hemline.ranking.metrics import __all__ as __all__
