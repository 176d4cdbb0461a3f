"""Tags from words: how right they are, and how fast they come.

    python benchmarks/tags.py              the texts that rules and words were tuned on
    python benchmarks/tags.py --errors     each text whose tags are wrong
    python benchmarks/tags.py --write      all texts, drawn titles and the speed, as results

The texts (``tests/tagging``) were written by hand for hemline before anything read them; they
are no shop's data. Of ``labelled.txt`` the odd lines were used to write rules and words; the even
ones were held out and read once. What they showed was then mended, so that figure is kept as it
was (`FIRST_READING`), and ``labelled_later.txt`` was written and read once after that; nothing
was changed since. A tag counts as right where name and value are right; micro precision and recall
over all texts, with a 95 % bootstrap interval over texts. Drawn titles are those of the generator,
compared with what is drawn: of the names that a title speaks of. Speed is that of `tag_manifest`
over made-up rows with a title, and over a fifth of them with breadcrumbs and a description too, on
one core.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hemline.data.manifest import Manifest
from hemline.evaluation.machine import processor
from hemline.synthetic import draw_product
from hemline.tagging import TagSettings, tag_manifest

ROOT = Path(__file__).resolve().parents[1]
TEXTS = ROOT / "tests/tagging"
#: The even lines of labelled.txt as they were first read, before anything was mended.
FIRST_READING = Path(__file__).with_name("results") / "tags_first_reading.json"
RESULTS = Path(__file__).with_name("results") / "tags.json"
FIELDS = ("title", "description", "breadcrumbs")


def labelled(file: str = "labelled.txt") -> list[tuple[dict[str, str], set[str]]]:
    """Each text's fields, and its tags."""
    texts = []
    for line in (TEXTS / file).read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        *fields, tags = (part.strip() for part in line.split("##"))
        wanted = {
            f"{name}={value}"
            for name, _, values in (tag.partition("=") for tag in tags.split())
            for value in values.split(",")
        }
        texts.append((dict(zip(FIELDS, fields, strict=True)), wanted))
    return texts


def tagged(rows: Sequence[dict[str, str]], columns: Sequence[str]) -> list[set[str]]:
    """What `tag_manifest` makes of the rows."""
    table = {name: [row[name] for row in rows] for name in columns}
    names = [f"{number}.jpg" for number in range(len(rows))]
    table |= {"path": names, "item_id": names, "domain": ["shop"] * len(rows)}
    made, _ = tag_manifest(
        Manifest.from_table(pa.table(table), "."), TagSettings(columns=tuple(columns))
    )
    return [set(tags) for tags in made.column("tags")]


def scores(made: Sequence[set[str]], wanted: Sequence[set[str]]) -> dict[str, dict[str, float]]:
    """Precision and recall of each name and of all, with an interval for all."""
    counts: dict[str, Counter[str]] = {}
    rows = []
    for got, want in zip(made, wanted, strict=True):
        for tag in got | want:
            kind = "right" if tag in got & want else "wrong" if tag in got else "lost"
            counts.setdefault(tag.partition("=")[0], Counter())[kind] += 1
        rows.append((len(got & want), len(got), len(want)))
    total = sum(counts.values(), Counter())
    result = {}
    for name, count in [*sorted(counts.items()), ("all", total)]:
        right = count["right"]
        result[name] = {
            "precision": right / max(1, right + count["wrong"]),
            "recall": right / max(1, right + count["lost"]),
            "made": right + count["wrong"],
            "stated": right + count["lost"],
        }
    table = np.array(rows, float)
    drawn = np.random.default_rng(0).integers(0, len(table), (2000, len(table)))
    sums = table[drawn].sum(1)
    for name, column in (("precision", 1), ("recall", 2)):
        low, high = np.quantile(sums[:, 0] / sums[:, column], [0.025, 0.975])
        result["all"] |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return result


def drawn_titles(count: int) -> dict[str, dict[str, float]]:
    """The generator's titles against what is drawn, of the names that its titles speak of."""
    products = [draw_product(11, index) for index in range(count)]
    spoken = ("category", "color", "pattern", "shape", "collar")
    wanted = [
        {t for t in p.tags if t.partition("=")[0] in spoken and t != "pattern=plain"}
        for p in products
    ]
    made = tagged([{"title": p.title} for p in products], ["title"])
    told = [{t for t in tags if t.partition("=")[0] in spoken} for tags in made]
    return scores(told, wanted)


def speed(rows: int) -> dict[str, float]:
    """Seconds for made-up rows: labelled texts with other words, none twice."""
    texts = [fields for fields, _ in labelled()]
    rng = random.Random(0)
    words = [word for fields in texts for word in fields["description"].split()]
    made = []
    for number in range(rows):
        fields = rng.choice(texts)
        extra = " ".join(rng.choices(words, k=40))
        made.append(
            {
                "title": f"{fields['title']} {number}",
                "description": f"{fields['description']} {extra}",
                "breadcrumbs": fields["breadcrumbs"],
            }
        )
    result: dict[str, float] = {}
    for name, columns in (("titles", ["title"]), ("all fields", list(FIELDS))):
        rows = rows if name == "titles" else rows // 5
        table = {column: [row[column] for row in made[:rows]] for column in columns}
        names = [str(number) for number in range(rows)]
        manifest = Manifest.from_table(
            pa.table({**table, "path": names, "item_id": names, "domain": ["shop"] * rows}), "."
        )
        begin = time.process_time()
        tag_manifest(manifest, TagSettings(columns=tuple(columns)))
        result[f"{name}, rows"] = rows
        result[f"{name}, CPU seconds"] = round(time.process_time() - begin, 1)
    return result


def measured(texts: Sequence[tuple[dict[str, str], set[str]]], errors: bool) -> dict[str, Any]:
    """The scores of some texts, told on the way."""
    made = tagged([fields for fields, _ in texts], FIELDS)
    if errors:
        for (fields, want), got in zip(texts, made, strict=True):
            if got != want:
                print(" ## ".join(fields.values()))
                print("   wrong:", *sorted(got - want), " lost:", *sorted(want - got))
    found = scores(made, [tags for _, tags in texts])
    for name, one in found.items():
        print(f"{name:14}", *(f"{key} {value:.3f}" for key, value in one.items()))
    return {"texts": len(texts), **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--rows", type=int, default=500_000, help="for the speed, with --write")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {"tuned": measured(labelled()[::2], options.errors)}
    if options.write:
        result["held out, first reading"] = json.loads(FIRST_READING.read_text())
        result["held out, later texts"] = measured(labelled("labelled_later.txt"), options.errors)
        result["drawn titles"] = drawn_titles(2000)
        result["speed"] = speed(options.rows)
        result["machine"] = processor()
        result["python"] = platform.python_version()
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
        print(f"written: {RESULTS}")


if __name__ == "__main__":
    main()
