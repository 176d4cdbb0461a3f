"""docs/synthetic.md says what the code has: every value, strength, default, record and landmark."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from hemline.synthetic import ATTRIBUTES, DISTURBANCES, LANDMARKS, SyntheticSettings
from hemline.synthetic.make import _QUALITY, SHARD
from hemline.synthetic.product import TWIN_SHARE
from hemline.synthetic.settings import STRENGTHS
from hemline.synthetic.street import ATTEMPTS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "synthetic.md").read_text(encoding="utf-8")


def table(first: str) -> dict[str, list[str]]:
    """The rows of the table whose head starts with `first`, by their first cell."""
    lines = TEXT[TEXT.index(f"| {first} |") :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_every_attribute_has_its_values_and_their_number() -> None:
    rows = table("attribute")
    assert list(rows) == list(ATTRIBUTES)
    for name, (count, values) in rows.items():
        assert int(count) == len(ATTRIBUTES[name])
        assert tuple(values.split(", ")) == ATTRIBUTES[name]


def test_every_strength_has_its_option_and_its_default() -> None:
    rows = table("strength")
    assert tuple(rows) == STRENGTHS
    for name, (option, default, _) in rows.items():
        assert option == f"`--{name}`"
        assert float(default) == getattr(SyntheticSettings(), name)


def test_every_record_and_landmark_is_named() -> None:
    assert tuple(table("column")) == DISTURBANCES
    for name in LANDMARKS:
        assert f"`{name}`" in TEXT


def test_numbers_in_the_words_are_those_of_the_code() -> None:
    assert f"In {TWIN_SHARE} of the pairs" in TEXT
    assert f"shards of {SHARD} products" in TEXT
    assert f"has quality {_QUALITY}" in TEXT
    assert f"at most {ATTEMPTS - 1} times" in TEXT


def test_the_example_runs() -> None:
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert code is not None
    exec(code.group(1), {})


def test_the_benchmark_measures() -> None:
    spec = importlib.util.spec_from_file_location("bench", ROOT / "benchmarks" / "synthetic.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.measure(products=3, size=64, seed=1)
    assert found["pictures"] == 9
    assert found["pictures_per_second"] > 0
    assert found["shop_ms"] > 0
    assert found["street_ms"] > 0
