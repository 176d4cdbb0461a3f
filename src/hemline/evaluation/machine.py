"""The machine that figures were measured on, so that each can name it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hemline import __version__

#: Instructions that decide how fast a graph runs, by Linux's names.
_INSTRUCTIONS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "asimd": "NEON"}


def machine() -> dict[str, Any]:
    """Versions and the machine, for a comparison with other measurements."""
    return {
        "hemline": __version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": processor(),
        "cores": os.cpu_count(),
    }


def processor() -> str:
    """The processor's name and the vector instructions that it has, where the system tells them."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return _named() or platform.processor() or platform.machine()
    name = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.+)$", text, re.MULTILINE)
    has = set(flags[1].split()) if flags else set()
    words = [name[1].strip() if name else platform.machine()]
    return ", ".join([*words, *(word for flag, word in _INSTRUCTIONS.items() if flag in has)])


def versions(*packages: str) -> dict[str, str]:
    """The installed version of each package, or ``not installed``."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _named() -> str:
    """The name that macOS gives; empty elsewhere."""
    if platform.system() != "Darwin":
        return ""
    asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
