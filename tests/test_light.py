"""`pip install hemline` alone, without OpenCV and torch: what it does, and how it says the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WALK = Path(__file__).parent / "helpers" / "light_walk.py"


def test_the_light_install_catalogues_searches_and_draws(tmp_path: Path) -> None:
    script = (
        "import runpy, sys; sys.modules.update(cv2=None, torch=None); "
        f"runpy.run_path({str(WALK)!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "HEMLINE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    wanted = "hemline: this command needs cv2: pip install 'hemline[synthetic]'"
    assert done.stderr.count(wanted) == 2
    assert "possible near duplicates, not compared: 1 " in done.stdout
