"""Kills a process that changes a store, opens what it left, and compares it with the reference."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from helpers import crash_ops
from helpers.crash_ops import DIM, Change, after, planned, reference, same, stored
from helpers.power_cut import Disk
from hemline.catalog.store import Row
from hemline.catalog.where.expression import Where

CONDITIONS = ("price < 50", "category = 'dress' and 'floral' in tags", "price < 3")


@dataclass
class Outcome:
    """What a series of kills showed.

    Attributes:
        kills: how many.
        during: what was under way when the kill came → how often.
        kept: how often the change under way was found whole / not at all.
        acknowledged: changes told as done before a kill, all of which must be there.
        recalls: of the approximate search against the exact one, for each kill.
        failures: what went wrong, in words.
        checks: comparisons that were made.
    """

    kills: int = 0
    during: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    recalls: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    checks: int = 0
    opened_ms: list[float] = field(default_factory=list)


def kill_once(
    program: Path,
    arguments: list[str],
    journal: Path,
    steps: int,
    delay: float,
    disk: Disk | None = None,
) -> list[str]:
    """Runs a program and kills it ``delay`` seconds into its step number ``steps``; its journal.

    With ``disk`` the power of the disk it works on is cut instead.
    """
    journal.unlink(missing_ok=True)
    journal.touch()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(program.parents[1]), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, str(program), *arguments], env=environment, stderr=subprocess.PIPE
    )
    try:
        limit = time.monotonic() + 60
        while (
            journal.read_text("ascii").count("begin") < steps
            and process.poll() is None
            and time.monotonic() < limit
        ):
            time.sleep(0.001)
        time.sleep(delay)
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(f"the writer ended by itself: {process.stderr.read()[-2000:]!r}")
        if disk is not None:
            disk.cut()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    if disk is not None:
        disk.restart()
    return journal.read_text("ascii").splitlines()


def campaign(
    folder: Path, kills: int, seed: int, focuses: tuple[str, ...], disk: Disk | None = None
) -> Outcome:
    """``kills`` kills, one after another, of one store that lives on between them.

    With ``disk`` the store lies there and the kills are power cuts.
    """
    outcome, choose = Outcome(), random.Random(seed)
    place = (folder if disk is None else disk.root) / "store"
    crash_ops.make(place)
    state: dict[str, Row] = {}
    number = copy = 0
    for kill in range(kills):
        focus = focuses[kill % len(focuses)]
        journal = folder / "journal"
        lines = kill_once(
            Path(crash_ops.__file__),
            [str(place), str(journal), str(seed), str(number), focus],
            journal,
            steps=choose.randint(1, 8),
            delay=choose.uniform(0.0, 0.03),
            disk=disk,
        )
        pending: Change | None = None
        copied: dict[str, Row] | None = None
        for line in lines:
            word, *rest = line.split()
            if word == "begin":
                number = int(rest[0])
                pending = planned(seed, number, focus, state)
                assert pending.kind == rest[1]
            elif word == "done" and pending is not None:
                state = after(state, pending)
                if pending.kind == "backup":
                    copied, copy = dict(state), number
                outcome.acknowledged += 1
                pending, number = None, number + 1
        outcome.kills += 1
        outcome.during[pending.kind if pending else "between"] += 1
        try:
            state = check(place, state, pending, outcome, choose, disk is not None)
            if copied is not None:
                copies = place.parent / "copies"
                check(copies / str(copy), copied, None, outcome, choose, disk is not None)
        except Exception as error:
            kind = pending.kind if pending else "between"
            outcome.failures.append(
                f"kill {kill}, {kind} {number}: {type(error).__name__}: {error}"
            )
            return outcome  # what follows would only repeat it
        number += 1
    return outcome


def check(
    place: Path,
    state: dict[str, Row],
    pending: Change | None,
    outcome: Outcome,
    rng: random.Random,
    power_cut: bool = False,
) -> dict[str, Row]:
    """Opens a store and compares everything; gives the state that it is in."""
    start = time.perf_counter()
    store = crash_ops.opened(place)
    try:
        store.search(np.eye(DIM, dtype=np.float32)[0], 5)
        outcome.opened_ms.append((time.perf_counter() - start) * 1000)
        held = stored(store)
        if not same(held, state):
            if pending is None or not same(held, after(state, pending)):
                raise AssertionError(difference(held, state, pending))
            state = after(state, pending)
            outcome.kept["whole"] += 1
        elif pending is not None and (pending.rows or pending.items):
            outcome.kept["not at all"] += 1
        counts = store.counts()
        items = {row.item_id for row in state.values()}
        assert counts == (len(state), len(items)), f"{counts}, not {len(state)}, {len(items)}"
        report = store.verify()
        # A power cut may tear the index, which is not synced, as it is derived from the rows.
        problems = [p for p in report.problems if not (power_cut and p.part == "index")]
        assert not problems, f"verify: {problems}"
        assert not report.lost, f"verify: {report.lost}"
        compare(store, state, outcome, rng)
    finally:
        store.close()
    return state


def difference(held: dict[str, Row], state: dict[str, Row], pending: Change | None) -> str:
    lost, extra = state.keys() - held.keys(), held.keys() - state.keys()
    changed = [i for i in state.keys() & held.keys() if not same({i: state[i]}, {i: held[i]})]
    words = f"{len(lost)} rows lost, {len(extra)} too many, {len(changed)} otherwise"
    return f"{words} of {len(state)}; under way: {pending.kind if pending else 'nothing'}"


def compare(store: Any, state: dict[str, Row], outcome: Outcome, rng: random.Random) -> None:
    """Answers against the reference: equal where exact, the recall noted elsewhere."""
    exact = reference(state)
    shares = []
    for at in range(8):
        query = crash_ops.vector(np.random.default_rng(rng.randrange(1 << 30)))
        text = None if at < 4 else CONDITIONS[at % len(CONDITIONS)]
        where = None if text is None else Where.parse(text, ["price", "title"])
        want = exact.search(query, 20, where)
        names = [row.image_id for row in exact.take(want.ids) if row]
        got = store.search_exact(query, 20, where)
        assert got.similarity.tolist() == want.similarity.tolist(), f"exact, {text}"
        assert [row.image_id for row in store.take(got.ids)] == names, f"exact, {text}"
        near = store.search(query, 20, where)
        taken = store.take(near.ids)
        assert None not in taken, "a hit without its row"
        for row, similarity in zip(taken, near.similarity, strict=True):
            right = np.float32(state[row.image_id].embedding.astype(np.float64) @ query)
            assert abs(right - similarity) < 1e-6, f"{row.image_id}: {similarity}, not {right}"
            assert where is None or where.matches(row.values()), f"{row.image_id} isn't {text}"
        assert len(taken) == len(names), f"{len(taken)} hits, not {len(names)}, {text}"
        if names:
            found = {row.image_id for row in taken}
            shares.append(len(found & set(names)) / len(names))
        outcome.checks += 3
    outcome.recalls.append(float(np.mean(shares)))
