"""What a check of `hemline doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: name of the check.
        status: ``failure``: it doesn't work, or soon will not; ``warning``: it works, but look.
        found: what was found.
        advice: what to do; empty where nothing is.
    """

    check: str
    status: Status
    found: str
    advice: str = ""


def fine(check: str, found: str) -> Finding:
    return Finding(check, "ok", found)


def warning(check: str, found: str, advice: str) -> Finding:
    return Finding(check, "warning", found, advice)


def failure(check: str, found: str, advice: str) -> Finding:
    return Finding(check, "failure", found, advice)
