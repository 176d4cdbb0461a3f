"""One file for each way to measure; `hemline.data.protocol` has what they make."""

from hemline.data.protocol import PROTOCOLS

__all__ = ["PROTOCOLS"]
