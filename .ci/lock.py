"""Write constraints.txt: the versions that pip resolves today for the whole project.

Usage: python .ci/lock.py > constraints.txt   (``make lock`` runs it in a new environment)

The file holds names and versions only: no index address, no hash, no local version such as
``2.9.0+cpu``, so that it serves with every index and on every platform.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: Everything that the project can install, and what builds it.
EVERYTHING = f"{ROOT}[learn,clip,remote,milvus,database,ray,serve,dev]"
BUILD = ("hatchling>=1.25", "editables>=0.5", "pip>=25.3")
HEADER = """\
# The exact versions that the tests ran with: {python}, {system}.
# make lock refreshes this file. Use: pip install -c constraints.txt '.[serve]'
"""


def resolve(*requirements: str) -> dict[str, str]:
    """Name to version of all that pip would install into an empty environment."""
    options = ["--dry-run", "--quiet", "--ignore-installed", "--report", "-"]
    command = [sys.executable, "-m", "pip", "install", *options, *requirements]
    report: dict[str, Any] = json.loads(subprocess.check_output(command))
    found = (entry["metadata"] for entry in report["install"])
    return {entry["name"]: entry["version"] for entry in found if entry["name"] != "hemline"}


def main() -> None:
    versions = {**resolve(*BUILD), **resolve(EVERYTHING)}
    local = [name for name, version in versions.items() if "+" in version]
    if local:
        raise SystemExit(f"{', '.join(local)}: a local version; use an index without such builds")
    print(HEADER.format(python=f"Python {platform.python_version()}", system=platform.system()))
    for name in sorted(versions, key=str.lower):
        print(f"{name}=={versions[name]}")


if __name__ == "__main__":
    main()
