"""Kills a process that rebuilds, backs up and changes a catalogue; looks at what it left."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np

from helpers import crash_catalog
from helpers.crash_catalog import ITEMS, PICTURES, step
from helpers.crashing import Outcome, kill_once
from helpers.power_cut import Disk
from hemline.catalog.catalog import Catalog
from hemline.catalog.stores.memory import MemoryStore
from hemline.data.images import open_image
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder

Prices = dict[int, float]


def expected(root: Path) -> dict[str, Any]:
    """Fingerprint → the embedding of each picture (PICTURES, D) by that bundle."""
    found = {}
    images = [open_image(root / "pictures" / f"{n}.jpg") for n in range(PICTURES)]
    for which in (0, 1):
        encoder = BundleEncoder(Bundle.open(root / f"bundle{which}"), threads=1)
        found[encoder.fingerprint] = encoder.encode_shop(images, [()] * PICTURES).embedding
    return found


def after(prices: Prices, number: int) -> Prices:
    kind, about = step(number)
    if kind == "add":
        return prices | dict.fromkeys(about, float(number))
    if kind == "remove":
        return {n: price for n, price in prices.items() if n % ITEMS not in about}
    return prices


def campaign(folder: Path, kills: int, seed: int, disk: Disk | None = None) -> Outcome:
    """``kills`` kills of one catalogue that lives on between them.

    With ``disk`` the catalogue lies there and the kills are power cuts.
    """
    outcome, choose = Outcome(), random.Random(seed)
    root = (folder if disk is None else disk.root) / "root"
    crash_catalog.make(root)
    os.sync()  # what was there before the first step
    vectors = expected(root)
    prices: Prices = dict.fromkeys(range(PICTURES), 0.0)
    number, copy = 0, root
    for kill in range(kills):
        pending, copied = False, None
        lines = kill_once(
            Path(crash_catalog.__file__),
            [str(root), str(number), str(folder / "journal")],
            folder / "journal",
            steps=choose.randint(1, 3),
            delay=choose.uniform(0.0, 0.15),
            disk=disk,
        )
        for line in lines:
            word, *rest = line.split()
            if word == "begin":
                number, pending = int(rest[0]), True
            elif word == "done":
                prices = after(prices, number)
                outcome.acknowledged += 1
                if step(number)[0] == "backup":
                    copied, copy = dict(prices), root / f"copy{number}"
                number, pending = number + 1, False
        kind = step(number)[0] if pending else "between"
        outcome.kills += 1
        outcome.during[kind] += 1
        try:
            prices = check(root / "shop", prices, number if pending else None, vectors, outcome)
            if copied is not None:
                check(copy, copied, None, vectors, outcome)
        except Exception as error:
            words = f"kill {kill}, {kind} {number}: {type(error).__name__}: {error}"
            outcome.failures.append(words)
            return outcome
        number += 1
    return outcome


def check(
    place: Path, prices: Prices, pending: int | None, vectors: dict[str, Any], outcome: Outcome
) -> Prices:
    """Opens a catalogue and compares everything; gives the prices that it has."""
    start = time.perf_counter()
    with Catalog.open(place) as catalog:
        own = vectors[catalog.bundle.fingerprint]
        assert catalog.store.fingerprint == catalog.bundle.fingerprint
        rows = list(catalog.store.rows())
        outcome.opened_ms.append((time.perf_counter() - start) * 1000)
        held = {int(r.image_id.removesuffix(".jpg")): float(r.columns["price"]) for r in rows}
        assert len(held) == len(rows), "a picture is there twice"
        if held != prices:
            assert pending is not None, difference(held, prices)
            whole = after(prices, pending)
            if step(pending)[0] == "add":  # each picture is as before or as after
                mixed = all(
                    held.get(n) in (prices.get(n), whole.get(n)) for n in held.keys() | whole.keys()
                )
                assert mixed, difference(held, prices)
                assert held.keys() >= prices.keys(), difference(held, prices)
            else:
                assert held == whole, difference(held, prices)
            outcome.kept["whole" if held == whole else "in part (several commits)"] += 1
        elif pending is not None:
            outcome.kept["not at all"] += 1
        exact = MemoryStore(catalog.store.fingerprint, catalog.store.dim)
        for row in rows:
            number = int(row.image_id.removesuffix(".jpg"))
            assert row.item_id == f"item{number % ITEMS}"
            # The copy is a JPEG of its own, so the vector of a rebuilt picture is a little off.
            assert float(row.embedding @ own[number]) > 0.97, f"{row.image_id}: another's vector"
            copy = catalog.image_path(row)
            assert copy is not None, f"{row.image_id} lost its copy"
            assert copy.is_file(), f"{row.image_id} lost its copy"
        exact.add(rows)
        for query in own[:: PICTURES // 8]:
            want, got = exact.search(query, 20), catalog.store.search_exact(query, 20)
            assert got.similarity.tolist() == want.similarity.tolist()
            names = [[r.image_id for r in s.take(n.ids) if r] for s, n in ((exact, want),)]
            assert [r.image_id for r in catalog.store.take(got.ids) if r] == names[0]
            near = catalog.store.search(query, 20)
            outcome.recalls.append(float(np.isin(got.ids, near.ids).mean()) if len(got.ids) else 1)
            outcome.checks += 3
        report = catalog.check()
        assert report.ok, f"check: {report.problems}"
        assert not report.lost, f"check: {report.lost}"
        outcome.kept["stray copies, swept by the next writer"] += report.strays
    return held


def difference(held: Prices, prices: Prices) -> str:
    changed = sum(held[n] != prices[n] for n in held.keys() & prices.keys())
    lost, extra = len(prices.keys() - held.keys()), len(held.keys() - prices.keys())
    return f"{lost} pictures lost, {extra} too many, {changed} otherwise of {len(prices)}"
