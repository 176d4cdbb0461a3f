"""Seeds: one whole number out of several, and a random generator from it.

Everything the generator draws follows from such numbers, so the same seed gives the same image on
any machine, in any order and with any number of workers.
"""

from __future__ import annotations

import numpy as np

_MASK = (1 << 64) - 1


def mix(*parts: int | str) -> int:
    """A 64-bit number that depends on every part and on their order (splitmix64)."""
    state = 0x9E3779B97F4A7C15
    for part in parts:
        if isinstance(part, str):
            part = int.from_bytes(part.encode(), "little")
        value = part & _MASK
        rest = abs(part) >> 64
        while True:
            state = (state ^ value) + 0x9E3779B97F4A7C15 & _MASK
            state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
            state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
            state ^= state >> 31
            if not rest:
                break
            value, rest = rest & _MASK, rest >> 64
    return state


def share(*parts: int | str) -> float:
    """A number in [0, 1) from `mix`."""
    return mix(*parts) / float(1 << 64)


def generator(*parts: int | str) -> np.random.Generator:
    """A random generator seeded by `mix` of the parts."""
    return np.random.Generator(np.random.PCG64(mix(*parts)))
