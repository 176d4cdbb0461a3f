"""A Milvus server for tests, started where it is installed, and addresses of new catalogues."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from importlib.util import find_spec
from pathlib import Path

from helpers import needs
from helpers.ending import at_end

_READY = 120.0  # seconds; then it is started again, as a supervisor does
_STARTS = 3
#: The executable of the package ``milvus``, in an environment of its own.
EXECUTABLE = os.environ.get("HEMLINE_MILVUS_SERVER") or shutil.which("milvus-server")


def needed() -> None:
    """Skips the running test where pymilvus or milvus-lite is missing."""
    if find_spec("pymilvus") is None or find_spec("milvus_lite") is None:
        needs.skip("milvus")


def write_address(folder: Path, address: str) -> None:
    """Names the address in a folder in which a store is then created."""
    (folder / "catalog.milvus").write_text(json.dumps({"address": address}))


class Server:
    """A Milvus server on a free port; its data stay when it is stopped or killed."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hemline-milvus-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        at_end(self.end)

    def address(self, options: str = "") -> str:
        """The address of a new catalogue."""
        return f"milvus://127.0.0.1:{self.port}/test_{uuid.uuid4().hex[:8]}{options}"

    def start(self) -> Server:
        for _ in range(_STARTS):
            self._spawn()
            if self._answers():
                return self
            self.kill()
        said = (self.folder / "data" / "logs" / "milvus-stderr.log").read_text("utf-8", "replace")
        raise RuntimeError(f"Milvus doesn't start: {said[:2000]}")

    def _wait_for_port(self) -> None:
        """Until the port is free: the starter takes the next one while old connections linger."""
        end = time.monotonic() + _READY
        while time.monotonic() < end:
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", self.port))
                return
            time.sleep(0.3)

    def _spawn(self) -> None:
        assert EXECUTABLE is not None
        self._wait_for_port()
        # Waits until the server runs; that is a process of its own, in the session of this one.
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [EXECUTABLE, "--data", str(self.folder / "data"), "--proxy-port", str(self.port)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _answers(self) -> bool:
        """Waits until it answers; False where it doesn't in time."""
        from pymilvus import MilvusClient

        end = time.monotonic() + _READY
        while True:
            try:
                client = MilvusClient(f"http://127.0.0.1:{self.port}", timeout=5)
                client.list_collections(timeout=5)
                client.close()
                return True
            except Exception:
                if time.monotonic() > end:
                    return False
                time.sleep(0.3)

    @property
    def running(self) -> bool:
        """Whether it was started and neither killed nor stopped."""
        return self._process is not None

    def kill(self) -> None:
        """Kills the server and its starter at once, as a power cut of the machine would."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        self._signal(signal.SIGINT)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, number)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(60)
            self._process = None

    def end(self) -> None:
        """Stops it for good and deletes its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def server() -> Server:
    """The server of this test process; skips the running test where none is installed."""
    needed()
    if EXECUTABLE is None:
        needs.skip("milvus-server")
    return Server().start()
