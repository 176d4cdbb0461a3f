"""Failures to fetch an image that may pass."""

from __future__ import annotations


class Passing(Exception):
    """An attempt that failed, and may succeed later.

    Attributes:
        seconds: that the server asks to wait.
    """

    def __init__(self, reason: str, seconds: float = 0.0) -> None:
        """
        Args:
            reason: a clause that follows the address.
            seconds: see above.
        """
        super().__init__(reason)
        self.seconds = seconds
