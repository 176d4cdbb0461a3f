"""Memory that requests share, and work that nobody waits for."""

from __future__ import annotations

import threading
import time

import pytest

from hemline.errors import BusyError, MemoryLimitError, StoppedError
from hemline.work import Memory, Work, bound, present


def test_memory_is_refused_for_now_or_for_ever() -> None:
    memory = Memory(10)
    memory.take(7)
    with pytest.raises(BusyError):
        memory.take(4)
    with pytest.raises(MemoryLimitError, match="all requests together"):
        memory.take(11)
    memory.give(7)
    memory.take(10)


def test_those_who_wait_for_memory_get_it_in_order() -> None:
    memory, got = Memory(10), list[int]()
    memory.take(10)

    def wait(amount: int) -> None:
        memory.wait(amount, lambda: None)
        got.append(amount)

    threads = []
    for amount in (9, 2, 1):  # the small ones would fit sooner
        threads.append(threading.Thread(target=wait, args=(amount,)))
        threads[-1].start()
        while len(memory._queue) < len(threads):
            time.sleep(0.001)
    memory.give(8)
    time.sleep(0.1)
    assert got == []
    memory.give(2)
    threads[0].join(5)
    assert got == [9]
    memory.give(9)
    for thread in threads:
        thread.join(5)
    assert sorted(got) == [1, 2, 9]
    assert memory.used == 3


def test_work_that_is_stopped_waits_no_longer() -> None:
    images = Memory(10)
    work = Work(Memory(), images)
    images.take(10)
    threading.Timer(0.05, work.stop).start()
    with pytest.raises(StoppedError), work.decoding(5):
        raise AssertionError
    images.give(10)
    with pytest.raises(StoppedError), work.decoding(5):
        raise AssertionError
    assert images.used == 0


def test_memory_is_held_until_the_last_thread_has_ended() -> None:
    data = Memory(100)
    work = Work(data, Memory())
    work.hold(40)
    work.hold(2)
    work.enter()
    work.leave()
    assert data.used == 42
    work.leave()
    assert data.used == 0


def test_work_is_bound_to_its_thread() -> None:
    work = Work(Memory(), Memory())
    with bound(work):
        assert present() is work
        others: list[Work] = []
        thread = threading.Thread(target=lambda: others.append(present()))
        thread.start()
        thread.join()
        assert others[0] is not work
    assert present() is not work
    present().check()
