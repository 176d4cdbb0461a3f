"""Contact sheets: sizes, marks, and lists that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from hemline.data.sheets import contact_sheet
from hemline.errors import UsageError


def test_sheet_holds_all_pictures() -> None:
    images = [np.full((40, 20 + 10 * k, 3), 30 * k, np.uint8) for k in range(5)]
    sheet = contact_sheet(images, columns=3, cell=50, gap=4)
    assert sheet.shape == (2 * 54 + 4, 3 * 54 + 4, 3)
    named = contact_sheet(images, columns=3, captions=["jup\u00e9 " * 9] * 5, cell=50, gap=4)
    assert named.shape[0] > sheet.shape[0]


def test_marks_are_drawn() -> None:
    blank = [np.full((60, 60, 3), 255, np.uint8)]
    points = np.array([(10, 10, 2), (30, 30, 1), (50, 50, 0)], np.float32)
    sheet = contact_sheet(blank, boxes=[(5, 5, 55, 40)], landmarks=[points], cell=60, gap=0)
    assert (sheet[10, 10] != 255).any()
    assert (sheet[30, 30] != 255).any()
    assert (sheet[50, 50] == 255).all()
    assert (sheet[5, 30] != 255).any()


def test_lists_that_do_not_fit_are_refused() -> None:
    blank = [np.zeros((8, 8, 3), np.uint8)]
    with pytest.raises(UsageError, match="1 pictures but 2 captions"):
        contact_sheet(blank, captions=["a", "b"])
    with pytest.raises(UsageError, match="at least one"):
        contact_sheet([])
