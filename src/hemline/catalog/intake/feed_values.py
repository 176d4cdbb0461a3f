"""Parses the cells of a feed: prices with currency, lists of images and tags, plain values."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

_SYMBOLS = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "₹": "INR", "zł": "PLN", "₽": "RUB"}
_PRICE = re.compile(
    # Possessive: what follows a repetition never begins with what it takes, and backtracking
    # over a cell of a few thousand blanks takes minutes.
    r"\s*+(?:(?P<before>[A-Za-z]{3}|€|\$|£|¥|₹|₽)\s*+)?"
    r"(?P<sign>-?)(?P<number>\d[\d.,'’\u00a0\u202f ]*+)\s*+"
    r"(?:(?P<after>[A-Za-z]{3}|€|\$|£|¥|₹|₽|zł)\s*+)?"
)
_JOINED = re.compile(r"[,;|\n]")


class Price(NamedTuple):
    """An amount and its currency (ISO 4217, or empty where none is given)."""

    amount: float
    currency: str


def parse_price(value: Any) -> Price | None:
    """Parses ``19.99 EUR``, ``EUR 19,99``, ``€1.299,00``, ``1,299.00``, a number, or
    ``{"value": "19.99", "currency": "EUR"}``; None for anything else.

    Of a point and a comma the later one separates the decimals. Before three digits a single comma
    separates thousands (``1,299``), a single point decimals (``1.299``).
    """
    if isinstance(value, Mapping):
        inner = parse_price(value.get("value", value.get("amount")))
        currency = value.get("currency") or value.get("currencyCode") or ""
        return None if inner is None else Price(inner.amount, inner.currency or str(currency))
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float | Decimal):
        amount = _finite(value)
        return None if amount is None else Price(amount, "")
    found = _PRICE.fullmatch(str(value))
    if found is None:
        return None
    number = _number(re.sub(r"['’\u00a0\u202f ]", "", found["number"]))
    if number is None:
        return None
    word = found["before"] or found["after"] or ""
    signed = -number if found["sign"] else number
    return Price(signed, _SYMBOLS.get(word, word.upper()))


def _number(text: str) -> float | None:
    text = text.rstrip(".,")
    point, comma = text.rfind("."), text.rfind(",")
    if point >= 0 and comma >= 0:
        thousands = "," if point > comma else "."
        text = text.replace(thousands, "").replace(",", ".")
    elif comma >= 0:
        whole = text.count(",") > 1 or len(text) - comma - 1 == 3
        text = text.replace(",", "" if whole else ".")
    elif text.count(".") > 1:
        text = text.replace(".", "")
    return _finite(text)


def _finite(value: Any) -> float | None:
    """A number, or its digits, as a float; None where it is none or too large for one."""
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def is_price(name: str) -> bool:
    """Whether a column of this name holds prices: ``price``, ``sale_price``, ``price_old``."""
    return name == "price" or name.endswith("_price") or name.startswith("price_")


def pieces(value: Any) -> list[str]:
    """Splits a cell that may hold several texts: a list, or text joined by ``, ; |``."""
    if value is None:
        return []
    if isinstance(value, list | tuple | np.ndarray):
        return [piece for part in value for piece in _text_of(part)]
    return [piece.strip() for piece in _JOINED.split(str(value)) if piece.strip()]


def _text_of(value: Any) -> list[str]:
    """The text of a list's element, or the address in an object."""
    if isinstance(value, Mapping):
        value = next((value[k] for k in ("path", "src", "url", "link") if value.get(k)), None)
    text = "" if value is None else str(value).strip()
    return [text] if text else []


def plain(value: Any) -> Any:
    """A cell as a JSON value; None for NaN and infinities."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    return str(value)
