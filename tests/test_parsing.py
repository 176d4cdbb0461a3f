from __future__ import annotations

import json

import pytest

from hemline.parsing import MAX_DEPTH, parse_json, parse_toml

HEX = "0x" + "f" * 3800


def test_plain_values_are_read() -> None:
    assert parse_json('{"a": [1, 2.5, null, "x"], "b": 10}') == {"a": [1, 2.5, None, "x"], "b": 10}
    assert parse_toml('a = [1, 2]\n[t]\nx = "y"') == {"a": [1, 2], "t": {"x": "y"}}
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert parse_json('{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH)
    with pytest.raises(json.JSONDecodeError):
        parse_json("{")


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 100_000])
def test_deep_json_is_a_value_error(depth: int) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * depth + "]" * depth)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json('{"a":' * depth + "1" + "}" * depth)


@pytest.mark.parametrize("text", ["9" * 400, "9" * 5000, "-" + "9" * 5000])
def test_a_number_of_many_digits_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="bits|digits"):
        parse_json(f'{{"price": {text}}}')
    with pytest.raises(ValueError, match="bits|digits"):
        parse_toml(f"price = {text}")


def test_hexadecimal_numbers_are_bounded_too() -> None:
    with pytest.raises(ValueError, match="more than 1023 bits"):
        parse_toml(f"price = {HEX}")
