"""Measure and try the light install: ``pip install .`` into a new environment.

Its packages are weighed without pip and setuptools, and it fills and searches a small catalogue.

Usage: python .ci/size.py [--most MIB]    exits 1 where it weighs more
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: What a new environment brings along itself.
OTHERS = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
MIB = 1 << 20


def weigh(packages: Path) -> Counter[str]:
    """Bytes of each entry of a site-packages folder; a package's bundled libraries apart."""
    sizes: Counter[str] = Counter()
    for path in packages.rglob("*"):
        name = path.relative_to(packages).parts[0]
        if path.is_file() and name.partition("-")[0] not in OTHERS:
            sizes[name] += path.stat().st_size
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=float, default=float("inf"), help="MiB allowed")
    most = parser.parse_args().most
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        own = str(Path(folder) / "bin" / "python")
        subprocess.run([own, "-m", "pip", "install", "--quiet", str(ROOT)], check=True)
        sizes = weigh(next(Path(folder).glob("lib/python*/site-packages")))
        tried = Path(folder) / "tried"
        tried.mkdir()
        environment = {**os.environ, "HEMLINE_HOME": str(tried / "home"), "PYTHONPATH": ""}
        walk = [own, str(ROOT / "tests" / "helpers" / "light_walk.py")]
        subprocess.run(walk, cwd=tried, env=environment, stdout=subprocess.DEVNULL, check=True)
    for name, size in sizes.most_common(16):
        print(f"{size / MIB:7.1f} MiB  {name}")
    total = sum(sizes.values()) / MIB
    print(f"{total:7.1f} MiB  in all, without pip and setuptools")
    if total > most:
        raise SystemExit(f"more than the {most:.0f} MiB that the light install may weigh")


if __name__ == "__main__":
    main()
