"""Dynamic batching: batches, faults, a full queue."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from hemline.encoding import StreetEncoding
from hemline.errors import BusyError
from hemline.runtime.batching import BatchingEncoder
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder


class Slow(BundleEncoder):
    """Waits for an event before each run, and records its number of photos."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.go, self.runs = threading.Event(), list[int]()

    def encode_street(self, images: Any) -> StreetEncoding:
        self.go.wait(10)
        self.runs.append(len(images))
        if any(image.pixels.max() == 0 for image in images):
            raise RuntimeError("black")
        return super().encode_street(images)


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    return Slow(Bundle.open(make_tiny_bundle(tmp_path / "bundle")))


def pictures(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(1).integers(1, 256, (count, 40, 30, 3), dtype=np.uint8))


def test_photos_that_wait_are_encoded_together(slow: Slow) -> None:
    runs: list[tuple[int, int]] = []
    batching = BatchingEncoder(
        slow, batch=4, on_run=lambda photos, waits: runs.append((photos, len(waits)))
    )
    images = pictures(9)
    with ThreadPoolExecutor(9) as pool:
        answers = [pool.submit(batching.encode_street, images[:1])]
        time.sleep(0.2)
        answers += [pool.submit(batching.encode_street, [image]) for image in images[1:]]
        time.sleep(0.2)
        slow.go.set()
        got = [answer.result() for answer in answers]
    batching.close()
    assert sum(slow.runs) == 9
    assert slow.runs[0] == 1  # the first call doesn't wait for others
    assert max(slow.runs) == 4
    assert [photos for photos, _ in runs] == slow.runs
    plain = BundleEncoder(slow.bundle)
    for image, coded in zip(images, got, strict=True):
        alone = plain.encode_street([image])
        np.testing.assert_allclose(coded.embedding, alone.embedding, atol=1e-6)
        assert coded.local is not None
        assert alone.local is not None
        np.testing.assert_allclose(coded.local, alone.local, atol=1e-6)


def test_one_fault_is_not_the_others(slow: Slow) -> None:
    batching = BatchingEncoder(slow, batch=8)
    black = np.zeros((40, 30, 3), np.uint8)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(batching.encode_street, [i]) for i in [*pictures(3), black]]
        time.sleep(0.1)
        slow.go.set()
        assert all(len(answer.result().embedding) == 1 for answer in answers[:3])
        with pytest.raises(RuntimeError, match="black"):
            answers[3].result()
    batching.close()


def test_a_full_queue_refuses_and_a_slow_one_lets_go(slow: Slow) -> None:
    batching = BatchingEncoder(slow, batch=1, waiting=2, timeout=0.5)
    image = pictures(1)
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(batching.encode_street, image) for _ in range(6)]
        done = [answer.exception() for answer in answers]
    slow.go.set()
    assert all(isinstance(error, BusyError) for error in done)
    details = sorted(str(error) for error in done)
    assert sum("waiting" in text for text in details) >= 3
    assert sum("too long" in text for text in details) >= 2
    batching.close()
    assert (
        len(batching.encode_street(image).embedding) == 1
    )  # after close the caller runs the tower
