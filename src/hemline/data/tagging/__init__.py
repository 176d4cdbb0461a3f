"""Tags from a shop's own words: vocabulary, matching, cleaning, report (docs/tags.md)."""

from __future__ import annotations

from hemline.data.tagging.matcher import Matcher
from hemline.data.tagging.report import Report
from hemline.data.tagging.tag import TagSettings, tag_manifest
from hemline.data.tagging.vocabulary import SHIPPED, Vocabulary, read_vocabulary

__all__ = [
    "SHIPPED",
    "Matcher",
    "Report",
    "TagSettings",
    "Vocabulary",
    "read_vocabulary",
    "tag_manifest",
]
