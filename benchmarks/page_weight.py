"""What the search page weighs with 24 products, in a real browser, with and without smaller images.

    python benchmarks/page_weight.py CATALOG

`hemline serve CATALOG --public` runs in a process of its own; Chromium opens the page of products
similar to the catalogue's first one, at 1280 × 900 pixels and as a phone of 390 × 844 (two and
three pixels of the screen for each), and scrolls through the 24 products. Bytes are those of the
bodies on the wire. "stored" asks for each image as it is stored, which the page did before it had
`?size=`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter, deque
from pathlib import Path
from typing import Any

from _system import machine, versions
from playwright.sync_api import Browser, sync_playwright

from hemline.catalog.catalog import Catalog

SCREENS = {
    "1280, 1x": ((1280, 900), 1),
    "1280, 2x": ((1280, 900), 2),
    "390, 2x": ((390, 844), 2),
    "390, 3x": ((390, 844), 3),
}


def weigh(browser: Browser, url: str, screen: str, stored: bool) -> Counter[str]:
    """Bytes of each kind of answer, and the number of images."""
    (width, height), scale = SCREENS[screen]
    context = browser.new_context(
        viewport={"width": width, "height": height}, device_scale_factor=scale
    )
    if stored:
        context.route(
            "**/v1/pictures/**",
            lambda route: route.continue_(url=route.request.url.partition("?")[0]),
        )
    page, counted = context.new_page(), Counter[str]()

    def count(answer: Any) -> None:
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if answer.url.startswith("blob:"):
            return
        size = int(answer.headers.get("content-length", 0))
        counted["requests"] += 1
        picture = "/v1/pictures/" in answer.url
        counted["images" if picture else "page"] += size
        if picture:
            counted[kind] += 1

    page.on("response", count)
    page.goto(url)
    page.wait_for_selector(".product:not(.is-waiting)")
    before, weight = counted["requests"], counted["page"]
    for product in page.locator(".product").all():
        product.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    context.close()
    counted["before"], counted["weight"] = before, weight
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalog", type=Path)
    given = parser.parse_args()
    with Catalog.open(given.catalog) as catalog:
        item = catalog.store.item_page(1).item_ids[0]
    command = [sys.executable, "-m", "hemline", "serve", str(given.catalog), "--public"]
    process = subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found = None
    while found is None:
        found = re.search(r"http://\S+", process.stderr.readline())
    # Its log is read on, or the full pipe would hold it up.
    threading.Thread(target=deque, args=(process.stderr, 0), daemon=True).start()
    print(machine(), versions("playwright"))
    program = os.environ.get("HEMLINE_CHROMIUM") or shutil.which("chromium")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            for screen in SCREENS:
                for stored in (True, False):
                    told = weigh(browser, f"{found[0]}/?item={item}", screen, stored)
                    kinds = ", ".join(f"{n} {kind}" for kind, n in told.items() if "/" in kind)
                    name = "stored" if stored else "smaller"
                    print(
                        f"{screen:9} {name:8} images {told['images'] / 1000:7.0f} kB ({kinds}), "
                        f"everything else {told['page'] / 1000:5.0f} kB, "
                        f"{told['before']} requests and {told['weight'] / 1000:.0f} kB until the "
                        f"first products"
                    )
            browser.close()
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
