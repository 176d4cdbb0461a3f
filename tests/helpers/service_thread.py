"""A service that listens at a port of its own, in a thread of the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hemline.service import run
from hemline.service.server import make_server
from hemline.service.settings import Settings


@contextmanager
def listening(settings: Settings) -> Iterator[str]:
    """Its address, until the block ends."""
    bound = run.listen(settings)
    server = make_server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield run.address(settings, bound)
    finally:
        server.should_exit = True
        thread.join()
