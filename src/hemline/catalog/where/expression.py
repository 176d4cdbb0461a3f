"""``--where``: an SQL condition over the stored columns.

As in SQL a comparison with null is neither true nor false, and a search finds only rows whose
condition is true. Text is compared without its case, unless ``collate binary`` asks for it.

    category = 'dress' and price < 50 and 'floral' in tags and brand = 'COS' collate binary
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hemline.budget import check_limit, check_work
from hemline.catalog.where.conditions import FIXED_COLUMNS, Node, operators, truth
from hemline.errors import UsageError
from hemline.limits import MAX_WHERE
from hemline.text import check_text


class Where:
    """A parsed condition.

    Attributes:
        text: as given.
        columns: the columns it reads.
        tree: the parsed condition.
        operators: comparisons for each row; a pattern counts by its length.
    """

    def __init__(self, text: str, columns: frozenset[str], tree: Node) -> None:
        self.text = text
        self.columns = columns
        self.tree = tree
        self.operators = operators(tree)

    @classmethod
    def parse(cls, text: str, extra: Iterable[str] = ()) -> Where:
        """Parses a condition.

        Args:
            text: such as ``price < 50 and 'floral' in tags``.
            extra: the columns of the catalogue besides `FIXED_COLUMNS`.

        Raises:
            UsageError: it can't be parsed, has other parts than conditions, or names an unknown
                column.
            CostError: it is longer or has more operators than the present limits allow.
        """
        check_limit("where_length", len(text))
        check_text(text, "a condition")
        from hemline.catalog.where.parsing import read_condition  # sqlglot takes long to import

        if len(text) > MAX_WHERE:
            raise UsageError(f"a condition has at most {MAX_WHERE} characters, not {len(text)}")
        tree, used = read_condition(text, {*FIXED_COLUMNS, *extra})
        where = cls(text, frozenset(used), tree)
        check_limit("where_operators", where.operators)
        return where

    def check_cost(self, rows: int) -> None:
        """
        Raises:
            CostError: its evaluation for ``rows`` rows costs too much.
        """
        check_work(rows, self.operators, "the condition")

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether a row (column → value, ``tags`` a sequence) meets the condition."""
        return truth(self.tree, row) is True
