"""A service in processes of its own, started as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2 as httpx


class Running:
    """A service in processes of its own."""

    def __init__(self, shop: Path, *options: str, **environment: str) -> None:
        command = [sys.executable, "-m", "hemline", "serve", str(shop), "--port", "0", "--threads"]
        self.process = subprocess.Popen(
            [*command, "1", *options],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        self.lines: list[str] = []
        self.url = ""
        assert self.process.stderr is not None
        while not self.url:
            line = self.process.stderr.readline()
            assert line, self.lines
            self.lines.append(line)
            found = re.search(r"served at (http://\S+)", line)
            self.url = found[1] if found else ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.http = httpx.Client(base_url=self.url, timeout=30)
        self.wait_until_ready()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines += self.process.stderr

    def wait_until_ready(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if self.http.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(self.lines)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self._reader.join(5)
        return code

    def close(self) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.end()

    def processes(self) -> list[int]:
        """The process numbers of the service and of all that it has started."""
        found, following = [], [self.process.pid]
        while following:
            pid = following.pop()
            found.append(pid)
            children = Path(f"/proc/{pid}/task/{pid}/children")
            if children.exists():
                following += [int(child) for child in children.read_text().split()]
        return found
