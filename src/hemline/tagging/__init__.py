"""Tags from a shop's own text: vocabulary, matching, cleaning, report (docs/tags.md)."""

from __future__ import annotations

from hemline.tagging.matcher import Matcher
from hemline.tagging.report import Report
from hemline.tagging.tag import TagSettings, tag_manifest
from hemline.tagging.vocabulary import SHIPPED, Vocabulary, read_vocabulary

__all__ = [
    "SHIPPED",
    "Matcher",
    "Report",
    "TagSettings",
    "Vocabulary",
    "read_vocabulary",
    "tag_manifest",
]
