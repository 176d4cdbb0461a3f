from __future__ import annotations

import threading
from collections.abc import Iterator

import faiss
import numpy as np
import pytest

from hemline.search.catalog._index import FlatIndex


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    yield
    faiss.omp_set_num_threads(before)


class Watched:
    """An index that notes how many threads it may use, here and in another thread."""

    ntotal = 1

    def __init__(self) -> None:
        self.here: list[int] = []
        self.elsewhere: list[int] = []

    def search(self, row: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        self.here.append(faiss.omp_get_max_threads())
        self.go.set()
        self.other.join()
        return np.ones((1, k), np.float32), np.zeros((1, k), np.int64)

    def watch_elsewhere(self) -> None:
        self.ready, self.go = threading.Event(), threading.Event()

        def look() -> None:
            faiss.omp_set_num_threads(2)
            self.ready.set()
            self.go.wait(10)
            self.elsewhere.append(faiss.omp_get_max_threads())

        self.other = threading.Thread(target=look)
        self.other.start()
        self.ready.wait(10)


@pytest.mark.usefixtures("three_threads")
def test_a_query_uses_one_thread_and_changes_nothing_for_others() -> None:
    index, watched = FlatIndex(4), Watched()
    index._index = watched
    watched.watch_elsewhere()
    index.search(np.ones(4, np.float32), 5)
    assert watched.here == [1]
    assert watched.elsewhere == [2]
    assert faiss.omp_get_max_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_the_setting_is_put_back_after_an_error() -> None:
    index = FlatIndex(4)
    index.add(np.arange(3), np.eye(3, 4, dtype=np.float32))
    with pytest.raises(ValueError, match="reshape"):
        index.search(np.ones(5, np.float32), 1)
    index._index.search = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        index.search(np.ones(4, np.float32), 1)
    assert faiss.omp_get_max_threads() == 3
