"""The street tower shared by threads: runs side by side, faults, a full queue."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from hemline.data.preprocess import PreparedImage
from hemline.encoding import StreetEncoding
from hemline.errors import BusyError, StoppedError
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder
from hemline.runtime.pool import EncoderPool
from hemline.work import Memory, Work, bound

go = threading.Event()


class Slow(BundleEncoder):
    """Waits for `go` in each run, and records the number of runs, and of those at a time."""

    now, most, runs = 0, 0, 0
    lock = threading.Lock()

    def encode_street(self, images: Any) -> StreetEncoding:
        with Slow.lock:
            Slow.now += 1
            Slow.most = max(Slow.most, Slow.now)
            Slow.runs += 1
        try:
            assert go.wait(10)
            assert all(isinstance(image, PreparedImage) for image in images)
            if any(image.pixels.max() == 0 for image in images):
                raise RuntimeError("black")
            return super().encode_street(images)
        finally:
            with Slow.lock:
                Slow.now -= 1


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    go.clear()
    Slow.most, Slow.runs = 0, 0
    return Slow(Bundle.open(make_tiny_bundle(tmp_path / "bundle")), threads=1)


def pictures(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(1).integers(1, 256, (count, 40, 30, 3), dtype=np.uint8))


def until(condition: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_runs_go_on_side_by_side_up_to_their_number(slow: Slow) -> None:
    runs: list[tuple[int, float]] = []
    pool = EncoderPool(slow, runs=3, on_run=lambda photos, waited: runs.append((photos, waited)))
    images = pictures(9)
    with ThreadPoolExecutor(9) as threads:
        answers = [threads.submit(pool.encode_street, [image]) for image in images]
        until(lambda: Slow.now == 3 and pool.depth == 6)
        go.set()
        got = [answer.result() for answer in answers]
    assert Slow.most == 3
    assert pool.depth == 0
    assert [photos for photos, _ in runs] == [1] * 9
    plain = BundleEncoder(slow.bundle)
    for image, coded in zip(images, got, strict=True):
        alone = plain.encode_street([image])
        np.testing.assert_allclose(coded.embedding, alone.embedding, atol=1e-6)
        assert coded.local is not None
        assert alone.local is not None
        np.testing.assert_allclose(coded.local, alone.local, atol=1e-6)


def test_one_fault_is_not_the_others(slow: Slow) -> None:
    pool = EncoderPool(slow, runs=2)
    black = np.zeros((40, 30, 3), np.uint8)
    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(pool.encode_street, [i]) for i in [*pictures(3), black]]
        go.set()
        assert all(len(answer.result().embedding) == 1 for answer in answers[:3])
        with pytest.raises(RuntimeError, match="black"):
            answers[3].result()
    assert len(pool.encode_street(pictures(1)).embedding) == 1  # the fault has freed its run


def test_a_full_queue_refuses_and_a_slow_one_lets_go(slow: Slow) -> None:
    pool = EncoderPool(slow, runs=1, waiting=2, timeout=0.5)
    image = pictures(1)
    with ThreadPoolExecutor(6) as threads:
        answers = [threads.submit(pool.encode_street, image) for _ in range(6)]
        until(lambda: sum(answer.done() for answer in answers) == 5)
        go.set()
        done = [answer.exception() for answer in answers]
    details = sorted(str(error) for error in done if isinstance(error, BusyError))
    assert sum("waiting" in text for text in details) == 3
    assert sum("too long" in text for text in details) == 2
    assert done.count(None) == 1
    assert len(pool.encode_street(image).embedding) == 1


def test_a_request_that_has_ended_is_not_encoded(slow: Slow) -> None:
    go.set()
    pool, work = EncoderPool(slow, runs=1), Work(Memory(), Memory())
    work.stop()
    with bound(work), pytest.raises(StoppedError):
        pool.encode_street(pictures(1))
    assert Slow.runs == 0
    assert len(pool.encode_street(pictures(1)).embedding) == 1
