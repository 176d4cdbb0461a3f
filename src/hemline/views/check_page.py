"""A check's report as one HTML page with small images of the worst examples."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from hemline.data.checking.check import CheckReport
from hemline.data.checking.findings import Finding
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.errors import ImageError
from hemline.views.page import jpeg_uri, write_html

#: Examples of each finding, with images and without; pixels of an image's long side.
WITH_IMAGES, IN_WORDS, SIDE = 8, 12, 160


def write_page(report: CheckReport, manifest: Manifest, path: Path) -> None:
    """Writes the page; self-contained, opens without a server.

    Raises:
        OSError: it can't be written.
    """
    counts = "".join(
        f'<tr><td class="n">{one.count:,}</td><td>{html.escape(one.kind.title)}</td>'
        f'<td class="faint">{one.kind.harm}</td></tr>'
        for one in report.findings
    )
    body = f"<table>{counts}</table>" if counts else "<p>Nothing is wrong.</p>"
    body += "".join(_section(one, manifest) for one in report.findings)
    write_html(path, "check", "What the check found", _note(report), body)


def _note(report: CheckReport) -> str:
    words = [
        f"{report.rows:,} rows, {report.files:,} files, {report.items:,} items",
        ", ".join(f"{count:,} {name}" for name, count in sorted(report.domains.items())),
        ", ".join(f"{count:,} of {name or 'no split'}" for name, count in report.splits.items()),
    ]
    if report.sides:
        low, middle, high = report.sides
        words.append(f"shorter side {low:g} to {high:g} pixels, median {middle:g}")
    words.append(f"{report.compared:,} pairs of look-alikes compared in detail")
    if report.left_out:
        words.append(f"{report.left_out:,} not compared, since too many look alike")
    if report.uncompared:
        words.append(f"{report.uncompared:,} not compared, since OpenCV isn't installed")
    words.append(f"manifest {report.fingerprint[:12]}")
    return "; ".join(words)


def _section(found: Finding, manifest: Manifest) -> str:
    kind = found.kind
    examples = [_example(one, manifest) for one in found.examples[: _shown(found)]]
    more = found.count - len(examples)
    rest = f"<small>and {more:,} more</small>" if more else ""
    return (
        f'<section class="{kind.harm}"><span class="harm">{kind.harm}</span>'
        f"<h2>{html.escape(_headline(found))}</h2><p>{html.escape(kind.why)}</p>"
        f"<p><b>What to do:</b> {html.escape(kind.advice)}</p>"
        f'<div class="examples">{"".join(examples)}</div>{rest}</section>'
    )


def _headline(found: Finding) -> str:
    title = found.kind.title
    return f"{title[0].upper()}{title[1:]}: {found.count:,}"


def _shown(found: Finding) -> int:
    with_images = found.name != "broken" and any("paths" in one for one in found.examples)
    return WITH_IMAGES if with_images else IN_WORDS


def _example(example: dict[str, Any], manifest: Manifest) -> str:
    images = "".join(_image(manifest, path) for path in example.get("paths", [])[:2])
    words = [example["tag"]] if "tag" in example else []
    words += [" · ".join(example.get("items", [])[:4])]
    words += [" and ".join(example["splits"])] if len(example.get("splits", [])) > 1 else []
    words += ["rows " + ", ".join(map(str, example["rows"][:6]))] if "rows" in example else []
    words += [example["reason"]] if "reason" in example else []
    words += [f"{example['points']} details agree"] if "points" in example else []
    if not images:
        words = [*example.get("paths", []), *words]
    text = html.escape("; ".join(word for word in words if word))
    return f"<figure><div>{images}</div><figcaption>{text}</figcaption></figure>"


def _image(manifest: Manifest, path: str) -> str:
    try:
        image = open_image(manifest.root / path)
    except ImageError:
        return ""
    name = html.escape(path, quote=True)
    return f'<img src="{jpeg_uri(image, quality=80, max_side=SIDE)}" alt="{name}" title="{name}">'
