"""A served catalogue under everything at once, and a ledger of what it has acknowledged.

    python benchmarks/chaos.py --minutes 60

Writers put, change and remove items over HTTP, alone and in bulk, and searchers search with the
pictures of stored items, while the catalogue is rebuilt with another bundle, compacted, backed up,
checked, its disk filled to the last byte, and keys are created and revoked. Every few seconds the
service is killed (SIGKILL, with a rebuild or compaction that may be under way), ended (SIGTERM), or
its power is cut: the disk is an ext4 image on a loop device, shut down without flushing its log.
Then the catalogue is opened, verified, and compared item by item with the ledger: what was
acknowledged is there; what got no answer is there as a whole or not at all.

Power cuts and the full disk need root and a loop device; without them the rest is done. Writes
``benchmarks/results/chaos.json``, and the ledger's lines beside the work folder. A failure is exit
status 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from _chaos_actors import Searcher, Service, Writer, columns  # noqa: E402
from _chaos_ledger import Ledger, State  # noqa: E402
from _system import load, machine, versions  # noqa: E402

from helpers.power_cut import Disk, PowerCutUnavailable, disk  # noqa: E402
from helpers.tiny_bundle import make_tiny_bundle  # noqa: E402
from hemline.catalog.catalog import Catalog  # noqa: E402
from hemline.errors import HemlineError  # noqa: E402
from hemline.runtime.bundle import Bundle  # noqa: E402
from hemline.service.keys import KeyRing  # noqa: E402

MEGABYTES = 512


class Run:
    """One run: the service, its disk and what is done to them."""

    def __init__(self, root: Path, power: Disk | None, ledger: Ledger, seed: int) -> None:
        self.root, self.power, self.ledger = root, power, ledger
        self.random = random.Random(f"{seed} events")
        self.disk = power.root if power else root
        self.shop = self.disk / "shop"
        self.bundles = [root / f"bundle{n}" for n in (0, 1)]
        for number, folder in enumerate(self.bundles):
            make_tiny_bundle(folder, seed=number)
        Catalog.create(self.shop, Bundle.open(self.bundles[0])).close()
        text, _ = KeyRing(self.shop / "service").create("write", "chaos")
        self.service = Service(text)
        self.valid_keys: dict[str, bool] = {}
        self.process: subprocess.Popen[str] | None = None
        self.tasks: list[subprocess.Popen[str]] = []
        self.backups = 0

    def start(self) -> None:
        """Starts `hemline serve` and waits until it is ready."""
        workers = self.random.choice((1, 2))
        self.process = _hemline(
            "serve", self.shop, "--port", 0, "--workers", workers, log=self.root / "service.log"
        )
        log, end = self.root / "service.log", time.monotonic() + 120
        while time.monotonic() < end:
            found = [x for x in log.read_text("utf-8").split() if x.startswith("http://127")]
            if found and self.process.poll() is None:
                base = found[0].rstrip('",.')
                if _ready(base):
                    self.service.opened(base)
                    self.ledger.event(f"starts with {workers} workers")
                    return
            time.sleep(0.1)
        raise SystemExit(f"the service doesn't start; see {log}")

    # What happens while it is served

    def rebuild(self) -> None:
        """Rebuilds with the other bundle, beside writes and searches."""
        self._task("rebuild", "--bundle", self.random.choice(self.bundles))

    def compact(self) -> None:
        self._task("compact")

    def check(self) -> None:
        self._task("check")

    def _task(self, verb: str, *options: object) -> None:
        log = self.root / f"{verb}.log"
        self.tasks.append(_hemline("catalog", verb, self.shop, *options, log=log))
        self.ledger.event(verb)

    def backup(self) -> None:
        """Copies the catalogue, and compares what nobody has changed meanwhile."""
        stable = self.ledger.stable()
        self.backups += 1
        target = self.root / f"backup{self.backups}"
        process = _hemline("catalog", "backup", self.shop, target, log=self.root / "backup.log")
        process.wait()
        self.ledger.event("backup" if process.returncode == 0 else "backup refused")
        if process.returncode == 0:
            found = self._content(target, "a backup")
            for item, (state, touched) in stable.items():
                if self.ledger.untouched(item, touched) and found.get(item) != state:
                    self.ledger.fail(f"backup: {item} is {found.get(item)}, not {state}")

    def fill_disk(self) -> None:
        """Leaves no byte of the disk for some seconds."""
        if self.power is None:
            return
        filler = self.power.root / "filler"
        self.ledger.event("full disk")
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(1 << 20)):
                pass
        self.service.full = True
        time.sleep(self.random.uniform(2, 5))
        self.service.full = False
        filler.unlink()

    def change_keys(self) -> None:
        """Creates a key and revokes an older one."""
        ring = KeyRing(self.shop / "service")
        try:
            _, key = ring.create("read", "passing")
            self.valid_keys[key.id] = True
            for key_id, valid in list(self.valid_keys.items())[:-1]:
                if valid:
                    self.valid_keys.pop(key_id)
                    ring.revoke(key_id)
                    self.valid_keys[key_id] = False
            self.ledger.event("keys changed")
        except (HemlineError, OSError) as error:
            self.ledger.event("keys not changed", why=str(error)[:200])

    # How it ends

    def kill(self) -> None:
        self.ledger.event("killed")
        self._signal(signal.SIGKILL)

    def end(self) -> None:
        """SIGTERM: finishes what is in progress."""
        self.ledger.event("ended")
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(60)
            if code != 0:
                self.ledger.fail(f"the service ended with {code} after SIGTERM")
        except subprocess.TimeoutExpired:
            self.ledger.fail("the service didn't end in 60 s after SIGTERM")
        self._signal(signal.SIGKILL)

    def cut_power(self) -> None:
        if self.power is None:
            self.kill()
            return
        self.ledger.event("power cut")
        self.service.dead = True
        self.power.cut()
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        self.service.down()
        for process in [self.process, *self.tasks]:
            assert process is not None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            process.wait()
        self.tasks.clear()

    def verify(self, cut: bool) -> None:
        """Compares everything with the ledger while nothing runs."""
        if not self.service.leave(60):
            self.ledger.fail("a request hangs though the service is gone")
        if cut and self.power is not None:
            self.power.restart()
        self.ledger.compare(self._content(self.shop, "the catalogue"), "the catalogue")
        keys = {key.id: key.revoked is None for key in KeyRing(self.shop / "service").list()}
        for key_id, valid in self.valid_keys.items():
            if keys.get(key_id) is not valid:
                self.ledger.fail(
                    f"key {key_id} is {keys.get(key_id)}, and was acknowledged {valid}"
                )

    def _content(self, folder: Path, what: str) -> dict[str, State]:
        found: dict[str, State] = {}
        with Catalog.open(folder) as catalog:
            health = catalog.check(deep=True)
            if not health.ok:
                self.ledger.fail(f"{what} isn't whole: {health}")
            for row in catalog.store.rows():
                price = int(row.columns.get("price", -1))
                if dict(row.columns) != columns(price) or row.item_id in found:
                    self.ledger.fail(f"{what}: {row.item_id} is half changed: {row}")
                found[row.item_id] = row.image_digest, price
        return found


def _hemline(*words: object, log: Path) -> subprocess.Popen[str]:
    """A command in a process group of its own, so that its workers are killed with it."""
    with log.open("w", encoding="utf-8") as file:
        command = [sys.executable, "-m", "hemline", *map(str, words)]
        return subprocess.Popen(
            command, stdout=file, stderr=file, text=True, start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def _ready(base: str) -> bool:
    import httpx2 as httpx

    try:
        return httpx.get(f"{base}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def chaos(run: Run, seconds: float, seed: int) -> list[float]:
    """Runs it; returns the seconds of each search."""
    writers = [Writer(n, run.service, run.ledger, seed) for n in range(3)]
    searchers = [Searcher(n, run.service, run.ledger, writers, seed) for n in range(2)]
    for actor in (*writers, *searchers):
        actor.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run.start()
        stop = min(end, time.monotonic() + run.random.uniform(5, 40))
        while time.monotonic() < stop:
            time.sleep(run.random.uniform(0.5, 4))
            if run.process is None or run.process.poll() is not None:
                run.ledger.fail("the service has ended by itself")
                break
            run.random.choice(
                (run.rebuild, run.compact, run.check, run.backup, run.fill_disk, run.change_keys)
            )()
        last = run.random.choices((run.kill, run.end, run.cut_power), (4, 2, 4))[0]
        last()
        run.verify(cut=last == run.cut_power)
        print(f"{max(0, end - time.monotonic()):.0f} s left; failures: {len(run.ledger.failures)}",
              flush=True)  # fmt: skip
    run.service.ended.set()
    for thread in (*writers, *searchers):
        thread.join(60)
    return [taken for searcher in searchers for taken in searcher.seconds]


@contextlib.contextmanager
def _disk(root: Path) -> Iterator[Disk | None]:
    with contextlib.ExitStack() as stack:
        try:
            made: Disk | None = stack.enter_context(disk(root, MEGABYTES))
        except PowerCutUnavailable as error:
            print(f"no power cuts and no full disk: {error}", flush=True)
            made = None
        yield made


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ledger", type=Path, help="keep the ledger's lines in this file")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "benchmarks/results/chaos.json")
    options = parser.parse_args()
    began = time.strftime("%Y-%m-%d %H:%M")
    with tempfile.TemporaryDirectory() as folder, _disk(Path(folder)) as power:
        ledger = Ledger(options.ledger or Path(folder) / "ledger.jsonl")
        run = Run(Path(folder), power, ledger, options.seed)
        taken = chaos(run, options.minutes * 60, options.seed)
        ledger.close()
    result: dict[str, Any] = {
        "label": "measured here",
        "when": began,
        "minutes": options.minutes,
        "seed": options.seed,
        "power cuts": power is not None,
        "ledger": dict(sorted(ledger.counts.items())),
        "search_ms": {
            f"p{q}": round(float(np.quantile(taken or [0], q / 100)) * 1000, 1) for q in (50, 99)
        },
        "failures": ledger.failures,
        "machine": machine(),
        "versions": versions("hemline", "numpy", "faiss-cpu"),
        "load": load(),
    }
    options.output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return 1 if ledger.failures else 0


if __name__ == "__main__":
    sys.exit(main())
