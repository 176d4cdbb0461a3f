"""Test the light install (no torch), each time in a new environment.

Usage:
    python .ci/light.py [PYTEST_ARGS]                        the newest versions that are allowed
    python .ci/light.py --python 3.12 --python 3.13 [...]    the versions of constraints.txt

A Python that isn't installed is named and passed over. Exits 1 where a test failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")


def find_python(version: str) -> str | None:
    """A working interpreter of a version such as 3.12: on the PATH, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python"))]
    for path in filter(None, [sys.executable, *found]):
        code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:  # a shim of pyenv may be there without its Python
            return path
    return None


def test(python: str, venv: Path, constraints: Path | None, pytest_args: list[str]) -> bool:
    """Whether the tests that need no torch pass in ``venv``, which is made anew."""
    subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
    own = str(venv / "bin" / "python")
    pins = ["--constraint", str(constraints)] if constraints else []
    subprocess.run([own, *INSTALL, "--upgrade", *pins, "pip"], check=True)
    subprocess.run(
        [own, *INSTALL, *pins, "--editable", f"{ROOT}[serve,synthetic,test]"], check=True
    )
    versions = "import sys, numpy, cv2; print('Python', sys.version.split()[0], flush=True)"
    subprocess.run([own, "-c", versions], check=True)
    # Page tests are run once, on the full install.
    command = [own, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", *pytest_args]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", default=[], help="a version such as 3.12")
    options, pytest_args = parser.parse_known_args()
    if not options.python:
        ok = test(sys.executable, ROOT / ".venv-newest", None, pytest_args)
        raise SystemExit(0 if ok else 1)
    results: dict[str, str] = {}
    for version in options.python:
        python = find_python(version)
        if python is None:
            results[version] = "not installed, not tried"
            continue
        venv = ROOT / f".venv-{version}"
        ok = test(python, venv, ROOT / "constraints.txt", pytest_args)
        results[version] = "passed" if ok else "FAILED"
    print("; ".join(f"Python {version}: {result}" for version, result in results.items()))
    raise SystemExit("FAILED" in results.values())


if __name__ == "__main__":
    main()
