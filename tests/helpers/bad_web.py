"""A local web server that misbehaves: each path in a way of its own."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from hemline.data.images import encode_jpeg


def picture(seed: int = 0) -> bytes:
    """A JPEG of a few kilobytes."""
    noise = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return encode_jpeg(noise)


GOOD = picture()


class BadWeb(socketserver.ThreadingTCPServer):
    """The server.

    Attributes:
        asked: path → number of requests.
        heads: path → the last request's head.
        closing: tells the slow ones to end.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: Counter[str] = Counter()
        self.heads: dict[str, str] = {}
        self.closing = threading.Event()

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def bad_web() -> Iterator[BadWeb]:
    with BadWeb() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


class _Handler(socketserver.BaseRequestHandler):
    server: BadWeb

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.request.recv(65536)
            if not data:
                return
            head += data
        text = head.decode("latin-1")
        path = text.split()[1].partition("?")[0]
        self.server.asked[path] += 1
        self.server.heads[path] = text
        with contextlib.suppress(OSError):
            _BEHAVIOURS.get(path, _missing)(self)

    # What behaviours are made of

    def send(self, data: bytes) -> None:
        self.request.sendall(data)

    def answer(self, status: str = "200 OK", body: bytes = GOOD, **headers: object) -> None:
        named = {"Content-Length": len(body), "Connection": "close"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}  # type: ignore[misc]
        lines = [f"{name}: {value}" for name, value in named.items() if value is not None]
        self.send("\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body)

    def reset(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()

    def times(self, path: str) -> int:
        return self.server.asked[path]

    def slowly(self, send: Callable[[], object], pause: float) -> None:
        while not self.server.closing.is_set():
            send()
            time.sleep(pause)

    def head(self, path: str, name: str) -> str:
        found = re.search(rf"^{name}: (.*?)\r$", self.server.heads[path], re.I | re.M)
        return found[1] if found else ""


def _missing(h: _Handler) -> None:
    h.answer("404 Not Found", b"<html>no</html>", Content_Type="text/html")


def _redirect(target: str) -> Callable[[_Handler], None]:
    return lambda h: h.answer("302 Found", b"", Location=target)


def _drip(h: _Handler) -> None:
    h.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n\xff\xd8\xff")
    h.slowly(lambda: h.send(b"x"), 0.05)


def _endless(h: _Handler) -> None:
    h.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"\xff\xd8\xff" + bytes(60_000)
    h.slowly(lambda: h.send(b"%x\r\n%s\r\n" % (len(piece), piece)), 0.0)


def _endless_head(h: _Handler) -> None:
    h.send(b"HTTP/1.1 200 OK\r\n")
    h.slowly(lambda: h.send(b"X-More: " + b"a" * 1000 + b"\r\n"), 0.001)


def _cut_chunks(h: _Handler) -> None:
    h.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    h.send(b"%x\r\n%s" % (len(GOOD), GOOD[:-100]))


def _bomb(h: _Handler) -> None:
    h.answer(body=gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")


def _short(h: _Handler) -> None:
    h.answer(body=GOOD[:1000], Content_Length=len(GOOD))


def _reset(h: _Handler) -> None:
    h.answer(body=GOOD[:1000], Content_Length=len(GOOD))
    h.reset()


def _busy_once(h: _Handler) -> None:
    if h.times("/busy-once.jpg") == 1:
        h.answer("503 Service Unavailable", b"later")
    else:
        h.answer()


def _flaky(h: _Handler) -> None:
    """Breaks off half-way at first; then continues where it is asked to."""
    half = len(GOOD) // 2
    wanted = h.head("/flaky.jpg", "Range")
    if not wanted:
        h.answer(body=GOOD[:half], Content_Length=len(GOOD), ETag='"one"')
        return
    at = int(re.findall(r"\d+", wanted)[0])
    h.answer(
        "206 Partial Content",
        GOOD[at:],
        Content_Range=f"bytes {at}-{len(GOOD) - 1}/{len(GOOD)}",
        ETag='"one"',
    )


def _other_part(h: _Handler) -> None:
    """Continues with another part than was asked for."""
    if not h.head("/other-part.jpg", "Range"):
        if h.times("/other-part.jpg") > 2:
            h.answer()
        else:
            h.answer(body=GOOD[:1000], Content_Length=len(GOOD), ETag='"one"')
    else:
        h.answer("206 Partial Content", GOOD[:500], Content_Range="bytes 0-499/500", ETag='"one"')


def _changed(h: _Handler) -> None:
    """Is another image when it is asked to continue: If-Range doesn't hold."""
    if h.times("/changed.jpg") == 1:
        h.answer(body=GOOD[:1000], Content_Length=len(GOOD), ETag='"one"')
    else:
        h.answer(body=picture(1), ETag='"two"')


def _tagged(h: _Handler) -> None:
    if h.head("/tagged.jpg", "If-None-Match") == '"one"':
        h.send(b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n")
    else:
        h.answer(ETag='"one"')


def _garbage(h: _Handler) -> None:
    h.send(b"\0\1\2 this is no HTTP\r\n\r\n" + GOOD)


def _silent(h: _Handler) -> None:
    h.slowly(lambda: None, 0.05)


def _loop(h: _Handler) -> None:
    h.answer("301 Moved", b"", Location="/loop.jpg")


def _png(h: _Handler) -> None:
    stream = io.BytesIO()
    import PIL.Image

    PIL.Image.new("RGB", (20, 20), "red").save(stream, "PNG")
    h.answer(body=stream.getvalue(), Content_Type="text/plain")


_HTML = b"<!doctype html><title>Please log in</title>" + b" " * 3000
_BEHAVIOURS: dict[str, Callable[[_Handler], None]] = {
    "/good.jpg": _Handler.answer,
    "/moved.jpg": _redirect("/good.jpg"),
    "/busy-once.jpg": _busy_once,
    "/flaky.jpg": _flaky,
    "/other-part.jpg": _other_part,
    "/changed.jpg": _changed,
    "/tagged.jpg": _tagged,
    "/text-type.jpg": _png,
    "/401.jpg": lambda h: h.answer("401 Unauthorized", b""),
    "/403.jpg": lambda h: h.answer("403 Forbidden", b""),
    "/410.jpg": lambda h: h.answer("410 Gone", b""),
    "/429.jpg": lambda h: h.answer("429 Too Many Requests", b"", Retry_After=7),
    "/500.jpg": lambda h: h.answer("500 Internal Server Error", _HTML),
    "/204.jpg": lambda h: h.answer("204 No Content", b""),
    "/304.jpg": lambda h: h.answer("304 Not Modified", b""),
    "/206.jpg": lambda h: h.answer("206 Partial Content", Content_Range="bytes 0-9/10"),
    "/drip.jpg": _drip,
    "/silent.jpg": _silent,
    "/endless.jpg": _endless,
    "/endless-head.jpg": _endless_head,
    "/huge.jpg": lambda h: h.answer(body=GOOD, Content_Length=10**12),
    "/short.jpg": _short,
    "/cut-chunks.jpg": _cut_chunks,
    "/too-long.jpg": lambda h: h.answer(body=GOOD + b"more", Content_Length=len(GOOD) - 50),
    "/truncated.jpg": lambda h: h.answer(body=GOOD[: len(GOOD) // 2]),
    "/empty.jpg": lambda h: h.answer(body=b""),
    "/reset.jpg": _reset,
    "/closed.jpg": lambda h: h.reset(),
    "/garbage.jpg": _garbage,
    "/html.jpg": lambda h: h.answer(body=_HTML, Content_Type="image/jpeg"),
    "/bomb.jpg": _bomb,
    "/loop.jpg": _loop,
    "/to-loopback.jpg": _redirect("http://127.0.0.1:1/x.jpg"),
    "/to-localhost.jpg": _redirect("https://localhost/x.jpg"),
    "/to-metadata.jpg": _redirect("http://169.254.169.254/latest/meta-data/"),
    "/to-file.jpg": _redirect("file:///etc/passwd"),
    "/to-bucket.jpg": _redirect("s3://other/x.jpg"),
    "/to-nowhere.jpg": lambda h: h.answer("302 Found", b""),
}
