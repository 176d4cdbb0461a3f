"""The documentation names every model, reader, protocol, store and command, and is not stale."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from hemline.registry import Registry

ROOT = Path(__file__).parents[1]
PAGES = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))}
WORDS = "\n".join(PAGES.values()) + (ROOT / "README.md").read_text(encoding="utf-8")


def registries() -> list[tuple[str, str]]:
    from hemline.catalog.stores import STORES
    from hemline.cli.models import trainable
    from hemline.datasets import PROTOCOLS, READERS

    registries: list[Registry[Any]] = [READERS, PROTOCOLS, STORES]
    found = [(registry.kind, name) for registry in registries for name in registry]
    return [*found, *(("model", str(row["name"])) for row in trainable())]


def test_the_command_reference_is_what_the_commands_say() -> None:
    spec = importlib.util.spec_from_file_location("generate_cli", ROOT / "docs" / "generate_cli.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert PAGES[ROOT / "docs" / "cli.md"] == module.render(), "run: make docs"


@pytest.mark.parametrize(("kind", "name"), registries())
def test_every_registered_thing_stands_in_the_docs(kind: str, name: str) -> None:
    assert re.search(rf"`{re.escape(name)}`", WORDS), f"no page of docs names the {kind} `{name}`"


def test_every_recipe_stands_in_the_docs() -> None:
    recipes = sorted((ROOT / "src" / "hemline" / "recipes").glob("*.yaml"))
    assert recipes
    unnamed = [recipe.stem for recipe in recipes if f"`{recipe.stem}`" not in WORDS]
    assert not unnamed


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page, text in [*PAGES.items(), (ROOT / "README.md", (ROOT / "README.md").read_text())]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert not broken


def test_the_walks_of_the_architecture_name_what_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    walks = text.split("## Three walks")[1].split("\n## ")[0]
    steps = re.findall(r"`([a-z_]+/[a-z_/]+\.py)`(?:: `(\w+)`)?", walks)
    steps = [step for step in steps if not step[0].startswith("tests/")]
    assert len(steps) > 25
    for file, name in steps:
        code = ROOT / "src" / "hemline" / file
        assert code.is_file(), file
        text = code.read_text(encoding="utf-8")
        assert not name or re.search(rf"(?:def|class) {name}\b", text), f"{file} has no {name}"


def _slow(file: Path, name: str = "") -> set[str]:
    """How often a test, or the tests of a file, are run: ``each``, ``slow``, or both."""
    text = file.read_text(encoding="utf-8")
    if re.search(r"^pytestmark = .*?slow", text, re.MULTILINE | re.DOTALL):
        return {"slow"}
    found = set()
    for marks, test in re.findall(
        r"((?:^@.*\n(?:^[ )].*\n)*)*)^def (test_\w+)", text, re.MULTILINE
    ):
        if not name or test == name:
            found.add("slow" if "pytest.mark.slow" in marks else "each")
    return found


def test_each_promise_names_tests_that_are_there_and_run_as_often_as_it_says() -> None:
    text = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[0].strip() != "promise"]
    assert len(rows) > 25
    files = list((ROOT / "tests").rglob("test_*.py"))
    for promise, _, tests, often in rows:
        runs = {"on demand"} if "`benchmarks/" in tests else set()
        for named in re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)`", tests):
            assert (ROOT / named).is_file(), f"{promise}: {named} isn't there"
            if named.startswith("tests/"):
                runs |= _slow(ROOT / named)
        for named in re.findall(r"`(test_\w+)`", tests):
            where = [file for file in files if f"def {named}(" in file.read_text("utf-8")]
            assert len(where) == 1, f"{promise}: {named} is in {where}"
            runs |= _slow(where[0], named)
        said = {word for word in ("each", "slow", "on demand") if word in often}
        assert runs == said, f"{promise}: {runs}, not {said}"


#: A measured speed: milliseconds, a rate, or a processor's time.
_SPEED = re.compile(
    r"\d ?ms\b|\d (?:pictures|images|photos|searches|queries|rows|titles) a second"
    r"|\d seconds of CPU|\d s of CPU"
)
#: What says on what it was measured.
_MACHINE = re.compile(r"AMD EPYC|Intel|Xeon|Apple M\d|processor wasn't recorded")


def unnamed_speeds(text: str) -> list[str]:
    """The titles of the sections (#, ##) with a measured speed that name no processor."""
    sections = re.split(r"^##? ", text, flags=re.MULTILINE)
    return [
        one.splitlines()[0] if one.strip() else ""
        for one in sections
        if _SPEED.search(one) and not _MACHINE.search(one)
    ]


def test_every_section_with_a_speed_names_the_processor() -> None:
    generated = {"api.md", "cli.md"}
    pages = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *PAGES]
    found = [
        f"{page.relative_to(ROOT)}: {title}"
        for page in pages
        if page.name not in generated
        for title in unnamed_speeds(page.read_text(encoding="utf-8"))
    ]
    assert not found, f"name the processor, or give a ratio: {found}"


def test_a_speed_without_its_processor_is_seen() -> None:
    text = "# Fast\n\nIt takes 3.8 ms.\n\n## Named\n\nOn an AMD EPYC it takes 4 ms.\n\n## Rate\n\n"
    text += "It draws 190 pictures a second.\n\n## No speed\n\nIt takes 1.2 times as long.\n"
    assert unnamed_speeds(text) == ["Fast", "Rate"]
