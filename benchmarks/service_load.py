"""How many searches a second a served catalogue answers, and how fast, beside its bare steps.

    python benchmarks/service_load.py --pictures 200000 --seconds 60 --work /tmp/service

A catalogue of the bundle (the shipped one, or ``--bundle``) is filled with made vectors (each near
one of 2,000 centres, one product for four pictures); the photos are drawn street photos, 800 × 600.
`hemline serve` runs in processes of its own; the clients are threads of this one on the same
machine, and write prepared requests to bare sockets, so that they take little of its time. Each
number of clients asks for ``--seconds`` after two seconds of warming up; every client asks its next
question when it has its answer. The bare steps are the engine's own in this process, one photo
after another on one thread; the bare tower encodes opened photos on a thread for each core. Then
hostile requests of many kinds follow, and the server's memory before and after is read.

The processor's time of a search is that of the server's processes; its profile has the engine's
steps, by the thread's own clock, and ``rest``: HTTP, JSON, and waking threads. It says where the
time goes also on a machine that others use. ``--before OLD/src`` serves another version beside this
one, in turns, ``--rounds`` times for each number of clients.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import httpx2 as httpx
import numpy as np
from _service_steps import bare, median
from _system import load, machine, versions

from hemline.data.images import encode_jpeg
from hemline.evaluation.speed.made import fill
from hemline.runtime.bundle import Bundle
from hemline.synthetic import SyntheticSettings, draw_product, draw_street

RESULTS = Path(__file__).with_name("results")
PHOTOS, CLIENTS = 64, (1, 8, 32)
FORM = {"Content-Type": "multipart/form-data; boundary=a"}


def filled(folder: Path, bundle: Bundle, pictures: int) -> None:
    """A catalogue of made vectors, once."""
    if not folder.is_dir():
        fill(folder.with_suffix(".part"), bundle, pictures)
        folder.with_suffix(".part").rename(folder)


def photos(folder: Path) -> list[bytes]:
    """Drawn street photos, once."""
    paths = [folder / f"{number:02d}.jpg" for number in range(PHOTOS)]
    folder.mkdir(parents=True, exist_ok=True)
    settings = SyntheticSettings(size=600)
    for number, path in enumerate(paths):
        if not path.is_file():
            drawn = draw_street(draw_product(5, number), settings, 5).image
            wide = cv2.resize(drawn, (800, 600), interpolation=cv2.INTER_AREA)
            path.write_bytes(encode_jpeg(np.asarray(wide, np.uint8), 88))
    return [path.read_bytes() for path in paths]


class Server:
    """`hemline serve` in a process of its own."""

    def __init__(self, folder: Path, workers: int, source: Path | None = None) -> None:
        """``source`` is the ``src`` of another version."""
        more = {} if source is None else {"PYTHONPATH": str(source.resolve())}
        command = [sys.executable, "-m", "hemline", "serve", str(folder), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--workers", str(workers)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | more,
        )
        assert self.process.stderr is not None
        found = None
        while found is None:
            line = self.process.stderr.readline()
            assert line, "the server ended"
            found = re.search(r"served at (http://\S+)", line)
        self.url = found[1]
        self._drain = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=-3)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise SystemExit("the server isn't ready")

    def memory(self) -> float:
        """Megabytes of the server and its workers."""
        text = [Path(f"/proc/{pid}/status").read_text() for pid in self._pids()]
        return sum(int(re.search(r"VmRSS:\s+(\d+)", t)[1]) for t in text) / 1024  # type: ignore[index]

    def cpu_ms(self) -> float:
        """Processor's time of the server and its workers since their start, in milliseconds."""
        tick = os.sysconf("SC_CLK_TCK")
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2] for pid in self._pids()]
        return sum(sum(map(int, stat.split()[11:13])) * 1000 / tick for stat in stats)

    def _pids(self) -> list[int]:
        own = self.process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return [own, *map(int, children)]

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self._drain.wait(10)


def request_of(shot: bytes) -> bytes:
    """A search as it goes over the wire."""
    part = b'--a\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
    body = part + shot + b"\r\n--a--\r\n"
    head = (
        "POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: {FORM['Content-Type']}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ask(server: Server, asked: list[bytes], clients: int, seconds: float) -> dict[str, Any]:
    taken: list[float] = []
    codes: dict[str, int] = {}
    begun, answered = time.perf_counter() + 2.0, [0] * clients
    cpu = server.cpu_ms(), time.process_time()
    host, port = server.url.removeprefix("http://").split(":")

    def one(number: int) -> None:
        turn = number
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while time.perf_counter() < begun + seconds:
                start = time.perf_counter()
                connection.sendall(asked[turn % len(asked)])
                code = _answer(connection)
                answered[number] += 1
                if start >= begun:
                    taken.append((time.perf_counter() - start) * 1000)
                    codes[code] = codes.get(code, 0) + 1
                turn += clients

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(clients)))
    assert taken, "nothing was asked and answered within --seconds; give it more"
    p50, p95, p99 = np.quantile(taken, [0.5, 0.95, 0.99])
    own = (time.process_time() - cpu[1]) * 1000
    return {
        "clients": clients,
        "per_s": round(len(taken) / (time.perf_counter() - begun), 1),
        "p50_ms": round(float(p50), 1),
        "p95_ms": round(float(p95), 1),
        "p99_ms": round(float(p99), 1),
        "cpu_ms": round((server.cpu_ms() - cpu[0]) / sum(answered), 2),
        "client_cpu_ms": round(own / sum(answered), 2),
        "codes": codes,
    }


def _answer(connection: socket.socket) -> str:
    """Reads one answer; its status."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = connection.recv(1 << 16)
        assert piece, "the connection was closed"
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    assert length is not None, head
    left = int(length[1]) - len(body)
    while left > 0:
        left -= len(connection.recv(left))
    return head[9:12].decode()


async def hostile(url: str, shot: bytes, count: int) -> dict[str, int]:
    """Requests that no friend sends; how often each status came (0: the connection was cut)."""
    rng = np.random.default_rng(9)
    codes: dict[int, int] = {}
    gate = asyncio.Semaphore(16)

    async def one(http: httpx.AsyncClient, kind: int) -> None:
        broken = bytearray(shot[: int(rng.integers(1, len(shot)))])
        for place in rng.integers(0, len(broken), 6):
            broken[place] = int(rng.integers(0, 256))
        asked: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", "/v1/search", {"files": {"photo": bytes(broken)}}),
            ("POST", "/v1/detect", {"files": {"photo": bytes(broken)}}),
            ("POST", "/v1/search", {"files": {"photo": b"x" * (21 << 20)}} if kind % 97 == 0
             else {"json": {"photo": "x" * 1000}}),
            ("POST", "/v1/search", {"content": bytes(broken),
                                    "headers": FORM}),
            ("GET", "/static/" + "../" * (kind % 9) + "etc/passwd", {}),
            ("GET", "/v1/pictures/" + "%2e%2e%2f" * (kind % 9), {}),
            ("GET", "/v1/info", {"headers": {f"X-{n}": "a" * 900 for n in range(60)}}),
            ("GET", "/v1/info", {"headers": {"Authorization": f"Bearer {kind}"}}),
            ("DELETE", f"/v1/items/{kind}", {"headers": {"Origin": "http://evil.example"}}),
            ("GET", "/v1/facets", {"params": {"columns": "category", "where": "(" * (kind % 300)}}),
        ]  # fmt: skip
        method, path, more = asked[kind % len(asked)]
        async with gate:
            try:
                got = (await http.request(method, path, **more)).status_code
            except httpx.TransportError:
                got = 0
        codes[got] = codes.get(got, 0) + 1

    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        await asyncio.gather(*(one(http, kind) for kind in range(count)))
    return {str(code): codes[code] for code in sorted(codes)}


def turns(
    servers: dict[str, Server], asked: list[bytes], clients: int, seconds: float, rounds: int
) -> list[dict[str, Any]]:
    """The median of each number over ``rounds``, in which the versions take turns."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
    for number in range(rounds):
        for name in list(servers)[:: 1 if number % 2 else -1]:
            found[name].append(ask(servers[name], asked, clients, seconds))
    rows = []
    for name, runs in found.items():
        codes = {code: sum(run["codes"].get(code, 0) for run in runs) for code in runs[0]["codes"]}
        numbers = [{k: v for k, v in run.items() if k != "codes"} for run in runs]
        row = {"version": name} | median(numbers) | {"clients": clients}
        for key in ("per_s", "cpu_ms") if name == "before" else ():
            ratios = [a[key] / b[key] for a, b in zip(found["after"], runs, strict=True)]
            row[f"{key}_after_over_before"] = [
                round(float(value), 3) for value in np.quantile(ratios, [0.5, 0.1, 0.9])
            ]
        rows.append(row | {"codes": codes})
    return rows


def profile(bare: dict[str, Any], cpu_ms: float) -> dict[str, float]:
    """The processor's time of a search by its steps, and its ratio to that of the bare tower."""
    steps = dict(bare["steps_cpu_ms_p50"])
    rest = round(cpu_ms - steps.pop("total"), 2)
    ratio = round(bare["encoder_cpu_ms"] / cpu_ms, 3)
    return steps | {"rest": rest, "all": cpu_ms, "encoder_share": ratio}


def bare_of(source: Path, folder: Path, photos: Path) -> dict[str, Any]:
    """`bare` of the version whose ``src`` is ``source``."""
    command = [sys.executable, Path(__file__).with_name("_service_steps.py"), folder, photos]
    more = {"PYTHONPATH": str(source.resolve())}
    done = subprocess.run(command, check=True, env=os.environ | more, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def hostility(server: Server, shot: bytes, count: int) -> dict[str, Any]:
    """What became of hostile requests, and of the server's memory."""
    asyncio.run(hostile(server.url, shot, 1000))
    start = server.memory()
    codes = asyncio.run(hostile(server.url, shot, count))
    return {
        "requests": count,
        "codes": codes,
        "memory_mb": [round(start, 1), round(server.memory(), 1)],
        "answers_after": httpx.get(f"{server.url}/readyz").status_code == 200,
    }


def serve(given: argparse.Namespace, folder: Path, shots: list[bytes]) -> dict[str, Any]:
    """What the server answers under each load, also that of ``--before``."""
    asked, result = [request_of(shot) for shot in shots], {"served": []}
    for workers in given.workers:
        servers = {"after": Server(folder, workers)}
        if given.before:
            other = folder.with_name(f"{folder.name}-before")
            if not other.is_dir():
                shutil.copytree(folder, other)
            servers["before"] = Server(other, workers, given.before)
        try:
            for clients in given.clients:
                rows = turns(servers, asked, clients, given.seconds, given.rounds)
                result["served"] += [{"workers": workers} | row for row in rows]
            if given.hostile and workers == given.workers[0]:
                result["hostile"] = hostility(servers["after"], shots[0], given.hostile)
        finally:
            for server in servers.values():
                server.close()
    return result


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--before", type=Path, help="the src of another version")
    parser.add_argument("--rounds", type=int, default=1, help="of each load")
    parser.add_argument("--bundle", help="a bundle's folder; by default the shipped one")
    parser.add_argument("--hostile", type=int, default=10_000)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "service_load.json")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    shots = photos(given.work / "photos")
    bundle = Bundle.open(given.bundle) if given.bundle else Bundle.default()
    folder = given.work / f"served-{given.pictures}-{bundle.fingerprint[:8]}"
    filled(folder, bundle, given.pictures)
    before = load()
    result: dict[str, Any] = {"pictures": given.pictures, "seconds": given.seconds}
    result |= {"bundle": bundle.info.name, "rounds": given.rounds, "bare": bare(folder, shots)}
    result |= serve(given, folder, shots)
    ours = [row for row in result["served"] if row["version"] == "after"]
    best = max(ours, key=lambda row: row["per_s"])
    result["share_of_bare_steps"] = round(best["per_s"] / result["bare"]["steps_per_s"], 3)
    result["share_of_bare_encoder"] = round(
        best["per_s"] / result["bare"]["encoder_photos_per_s"], 3
    )
    result["cpu_ms_of_a_search"] = {"after": profile(result["bare"], best["cpu_ms"])}
    if given.before:
        result["bare_before"] = bare_of(given.before, folder, given.work / "photos")
        load_ = best["workers"], best["clients"]
        row = next(
            row
            for row in result["served"]
            if row["version"] == "before" and (row["workers"], row["clients"]) == load_
        )
        old = profile(result["bare_before"], row["cpu_ms"])
        result["cpu_ms_of_a_search"]["before"] = old
    result |= {"machine": machine(), "versions": versions(), "load": [before, load()]}
    given.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
