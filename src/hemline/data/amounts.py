"""Amounts of money in texts: ``19.99 EUR``, ``€1.299,00``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

_SYMBOLS = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "₹": "INR", "zł": "PLN", "₽": "RUB"}
_PRICE = re.compile(
    # Possessive: what follows a repetition never begins with what it takes, and backtracking
    # over a cell of a few thousand blanks takes minutes.
    r"\s*+(?:(?P<before>[A-Za-z]{3}|€|\$|£|¥|₹|₽)\s*+)?"
    r"(?P<sign>-?)(?P<number>\d[\d.,'’\u00a0\u202f ]*+)\s*+"
    r"(?:(?P<after>[A-Za-z]{3}|€|\$|£|¥|₹|₽|zł)\s*+)?"
)
_LONGEST = 64  # characters of a number
#: ISO 4217: of three letters each, so any three letters within it are a code.
_CURRENCIES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN
BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW
KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN
NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK
SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS
VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL
"""


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


def amount(text: str) -> float | None:
    """The number that a text is: ``12``, or an amount with a known currency; None for any other."""
    if len(text) > _LONGEST:
        return None
    try:
        return float(text)
    except ValueError:
        price = parse_price(text)
    if price is None or (price.currency and price.currency not in _CURRENCIES):
        return None  # "ABC 12" is a code
    return price.amount


def priced(columns: Mapping[str, Any]) -> dict[str, Any]:
    """``columns`` with the texts of prices (`is_price`) as numbers, and their ``currency``.

    A text that is no price stays. A given ``currency`` stays, too.
    """
    found = dict(columns)
    for name, value in columns.items():
        if is_price(name) and isinstance(value, str | Mapping):
            price = parse_price(value)
            if price is not None:
                found[name] = price.amount
                if price.currency:
                    found.setdefault("currency", price.currency)
    return found
