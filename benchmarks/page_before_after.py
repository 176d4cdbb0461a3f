"""The search page of two versions of hemline: bytes for 24 products, and time to first results.

    git archive d76c9c2 src | tar -x -C /tmp/before
    python benchmarks/page_before_after.py --before /tmp/before/src --after src --rounds 5

Products are drawn once, and the version before makes the catalogue that both serve, each in a
process of its own. In every round, in alternating order, Chromium opens each version's page with an
empty cache at 390 × 844 (as a phone, two pixels of the screen for each) and at 1280 × 900 pixels,
over a line of its own speed and over one like a slow phone's: 150 ms a round trip, 1.6 Mbit/s down,
0.75 up. It chooses a photo and scrolls through the 24 products. Times are the page's own clock,
from the choice of the photo. Bytes are those that came over the line, with heads. A ratio is after
/ before within a round; the table has the geometric mean over rounds with a 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from _system import load, machine, versions
from before_after import ratio
from playwright.sync_api import Browser, sync_playwright

RESULTS = Path(__file__).with_name("results") / "page_before_after.json"
SCREENS = {"390": ((390, 844), 2), "1280": ((1280, 900), 1)}
#: Of Chromium's emulation: milliseconds, bytes a second down and up.
LINES = {"own speed": None, "slow phone": (150, 200_000, 93_750)}
SIZE, SEED, HITS = 640, 11, 24
#: Notes when a photo was chosen, when its first product stood there, and when that one's image did.
WATCH = """() => {
  window.times = {};
  const note = (name) => (window.times[name] ??= performance.now());
  document.addEventListener("change", () => note("chosen"), { capture: true });
  const look = () => {
    const first = document.querySelector("#products .product:not(.is-waiting)");
    if (first) note("product");
    const image = first?.querySelector("img");
    if (image?.complete && image.naturalWidth) note("image");
    else requestAnimationFrame(look);
  };
  look();
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--products", type=int, default=120)
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    begun = load()
    with tempfile.TemporaryDirectory() as work, ExitStack() as stack:
        sources = {"before": given.before.resolve(), "after": given.after.resolve()}
        photo = make_shop(sources, Path(work), given.products)
        urls = {n: stack.enter_context(serve(s, Path(work), n)) for n, s in sources.items()}
        browser = stack.enter_context(chromium())
        rounds = []
        for number in range(-1, given.rounds):  # the first one only warms up
            order = list(urls) if number % 2 else list(reversed(urls))
            found = {name: visits(browser, urls[name], photo) for name in order}
            if number >= 0:
                rounds.append(found)
    steps = {name: _step([one["before"][name] for one in rounds],
                         [one["after"][name] for one in rounds])
             for name in rounds[0]["before"]}  # fmt: skip
    result = {
        "machine": machine(), "versions": versions("playwright"), "load": [begun, load()],
        "products": given.products, "side": SIZE, "hits": HITS, "rounds": given.rounds,
        "lines": LINES, "steps": steps,
    }  # fmt: skip
    given.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, step in steps.items():
        print(f"{name:45} {step['before']:9.0f} {step['after']:9.0f}  × {step['ratio']:.3f}"
              f" ({step['low']:.3f} to {step['high']:.3f})")  # fmt: skip


def _step(before: list[float], after: list[float]) -> dict[str, float]:
    middle = {"before": statistics.median(before), "after": statistics.median(after)}
    return {name: round(value, 1) for name, value in middle.items()} | ratio(before, after)


def make_shop(sources: Mapping[str, Path], work: Path, products: int) -> Path:
    """Draws the shop, and makes its catalogue with the version before; the photo to search with."""
    drawn = ["data", "make", "-o", str(work / "drawn"), "--products", str(products)]
    drawn += ["--size", str(SIZE), "--seed", str(SEED), "--street-views", "1"]
    hemline(sources["after"], *drawn)
    manifest = next(work.glob("drawn/manifest.*"))
    hemline(sources["before"], "catalog", "create", str(work / "before"))
    hemline(sources["before"], "catalog", "add", str(work / "before"), str(manifest))
    shutil.copytree(work / "before", work / "after")
    import hemline as package

    rows = package.Manifest.read(manifest)
    return next(work / "drawn" / row.path for row in rows if row.domain == "street")


def hemline(source: Path, *words: str) -> None:
    """Runs a command of a version.

    Raises:
        SystemExit: it fails.
    """
    command = [sys.executable, "-m", "hemline", *words]
    done = subprocess.run(command, env=_env(source), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr[-1000:]}")


def _env(source: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(source)}


@contextmanager
def serve(source: Path, work: Path, name: str) -> Iterator[str]:
    """The address of a version's service until the block ends."""
    command = [sys.executable, "-m", "hemline", "serve", str(work / name), "--port", "0"]
    process = subprocess.Popen(command, env=_env(source), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found = None
    while found is None:
        if process.poll() is not None:
            raise SystemExit(f"the service of {source} ended")
        found = re.search(r"http://[\d.]+:\d+", process.stderr.readline())
    threading.Thread(target=deque, args=(process.stderr, 0), daemon=True).start()
    try:
        yield found[0]
    finally:
        process.terminate()
        process.wait()


@contextmanager
def chromium() -> Iterator[Browser]:
    program = os.environ.get("HEMLINE_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def visits(browser: Browser, url: str, photo: Path) -> dict[str, float]:
    """Bytes and milliseconds of each screen and line."""
    found: dict[str, float] = {}
    for line in LINES:
        for screen in SCREENS:
            seen = visit(browser, url, photo, screen, line)
            found |= {f"{screen}, {line}: {name}": value for name, value in seen.items()}
    return found


def visit(browser: Browser, url: str, photo: Path, screen: str, line: str) -> dict[str, float]:
    """One first visit."""
    (width, height), scale = SCREENS[screen]
    phone = {"has_touch": True, "is_mobile": True} if screen == "390" else {}
    context = browser.new_context(
        viewport={"width": width, "height": height}, device_scale_factor=scale, **phone
    )
    context.set_default_timeout(120_000)
    page, taken, urls = context.new_page(), {"images": 0.0, "page": 0.0}, dict[str, str]()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    _slow_down(session, line)

    def end(event: dict[str, Any]) -> None:
        kind = "images" if "/v1/pictures/" in urls.get(event["requestId"], "") else "page"
        taken[kind] += event["encodedDataLength"]

    session.on(
        "Network.requestWillBeSent", lambda e: urls.update({e["requestId"]: e["request"]["url"]})
    )
    session.on("Network.loadingFinished", end)
    page.goto(url, wait_until="networkidle")
    page.evaluate(WATCH)
    page.locator("#file").set_input_files(photo)
    page.wait_for_function("() => window.times.image")
    times = page.evaluate("window.times")
    page.wait_for_function(
        f"() => document.querySelectorAll('.product:not(.is-waiting)').length >= {HITS}"
    )
    for product in page.locator(".product").all():
        product.scroll_into_view_if_needed()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.product img')].every((i) => i.complete)"
    )
    page.wait_for_load_state("networkidle")
    context.close()
    return {
        "ms to the first product": times["product"] - times["chosen"],
        "ms to its image": times["image"] - times["chosen"],
        "bytes of images": taken["images"],
        "bytes of all": taken["images"] + taken["page"],
    }


def _slow_down(session: Any, line: str) -> None:
    told = LINES[line]
    if told is not None:
        latency, down, up = told
        slow = {"latency": latency, "downloadThroughput": down, "uploadThroughput": up}
        session.send("Network.emulateNetworkConditions", {"offline": False, **slow})


if __name__ == "__main__":
    main()
