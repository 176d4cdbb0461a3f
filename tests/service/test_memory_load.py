"""The memory of the real server under requests that ask for all they may, or leave."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from pathlib import Path

import httpx2 as httpx
import PIL.Image
import pytest

from helpers.service_process import Running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc"),
]
MEGA = 1 << 20
#: ``--memory``; and what Python, decoders and arenas may take beside it.
LIMIT, MARGIN = 1536 * MEGA, 256 * MEGA


def resident(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def seconds_used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Peak(threading.Thread):
    """Watches the resident memory of a process."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.bytes, self.ending = pid, 0, threading.Event()

    def run(self) -> None:
        while not self.ending.wait(0.01):
            self.bytes = max(self.bytes, resident(self.pid))


def solid(side: int) -> bytes:
    stream = io.BytesIO()
    PIL.Image.new("RGB", (side, side), "red").save(stream, "PNG")
    return stream.getvalue()


def leave(url: str, body: bytes, head: bytes) -> None:
    """Sends a whole request and leaves."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head + body)
        time.sleep(0.5)


def test_large_photos_leave_the_memory_bounded(shop: Path) -> None:
    service = Running(shop, "--timeout", "10")
    peak = Peak(service.process.pid)
    try:
        small = solid(200)
        assert service.http.post("/v1/search", files={"photo": small}).status_code == 200
        before = resident(service.process.pid)
        peak.start()
        photo = solid(7070)  # 50 million pixels in 150 kB
        files = [("photo", photo)] * 32
        request = httpx.Request("POST", f"{service.url}/v1/search", files=files)
        body = request.read()
        head = f"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        head += f"Content-Type: {request.headers['content-type']}\r\n\r\n"
        codes: list[int] = []

        def search() -> None:
            with httpx.Client(timeout=60) as http:
                codes.append(http.post(f"{service.url}/v1/search", files=files).status_code)

        threads = [threading.Thread(target=search) for _ in range(4)]
        more = (service.url, body, head.encode())
        threads += [threading.Thread(target=leave, args=more) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(codes) <= {200, 503}

        # What nobody waits for ends, long before the 320 images could be decoded.
        end, idle = time.monotonic() + 60, False
        while not idle and time.monotonic() < end:
            used = seconds_used(service.process.pid)
            time.sleep(0.5)
            idle = seconds_used(service.process.pid) - used < 0.1
        assert idle
        assert service.http.post("/v1/search", files={"photo": small}).status_code == 200
    finally:
        peak.ending.set()
        service.close()
    assert peak.bytes > before  # it was watched
    assert peak.bytes < before + LIMIT + MARGIN, f"{peak.bytes / MEGA:,.0f} MiB"
