"""Install Chromium for the tests of the page: the system's package, or else Playwright's build."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def main() -> None:
    found = os.environ.get("HEMLINE_CHROMIUM") or shutil.which("chromium")
    if found:
        print(f"{found} is installed")
    elif os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=True)
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


if __name__ == "__main__":
    main()
