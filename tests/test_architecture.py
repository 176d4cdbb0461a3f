"""The arrows of docs/architecture.md, read from the imports; and that torch stays in its room."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "hemline"

#: Modules of the foundation; whatever lies above may import them.
_BASE = {
    "__init__", "types", "errors", "limits", "budget", "registry", "files", "documents", "parsing",
    "text", "work", "progress", "sql",
}  # fmt: skip
_FORMAT = {"encoding", "bundle"}
#: room → the rooms it may import besides itself and the foundation.
ALLOWED: dict[str, set[str]] = {
    **{name: set() for name in _BASE},
    **{name: {"data", "ranking", *_FORMAT} for name in _FORMAT},
    "data": set(),
    "datasets": {"data"},
    "tagging": {"data"},
    "synthetic": {"data"},
    "ranking": set(),
    "runtime": {"data", "ranking", *_FORMAT},
    "catalog": {"data", "ranking", "runtime", *_FORMAT},
    "search": {"data", "ranking", "runtime", "catalog", *_FORMAT},
    "learn": {"data", "datasets", "ranking", *_FORMAT},
    "evaluation": {
        "data", "datasets", "ranking", "runtime", "catalog", "search", "learn", *_FORMAT,
    },
    "adaptation": {"data", "ranking", "runtime", "catalog", "evaluation", *_FORMAT},
    "quantization": {
        "data", "ranking", "runtime", "catalog", "learn", "evaluation", "adaptation", *_FORMAT,
    },
    "views": {"data", "ranking", "runtime", "catalog", "search", "evaluation", *_FORMAT},
    "reproduce": {
        "data", "datasets", "synthetic", "ranking", "runtime", "learn", "evaluation", "views",
        *_FORMAT,
    },
    "demo": {
        "data", "synthetic", "ranking", "runtime", "catalog", "search", "evaluation", "views",
        *_FORMAT,
    },
    "service": {"data", "ranking", "runtime", "catalog", "search", "evaluation", *_FORMAT},
    "client": set(),
    "metrics": {"ranking"},
    "losses": {"learn"},
    "cli": {
        "data", "datasets", "tagging", "synthetic", "runtime", "catalog", "learn", "search",
        "evaluation", "adaptation", "quantization", "views", "reproduce", "demo", "service",
        *_FORMAT,
    },
    "__main__": {"cli"},
}  # fmt: skip
#: What `pip install hemline[learn]` adds.
HEAVY = {
    "torch", "torchvision", "timm", "lightning", "onnx", "onnxscript", "safetensors", "yaml",
    "tensorboard",
}  # fmt: skip
#: Whoever imports these rooms of ours, or the heavy libraries, does so inside a function.
LAZY_ROOMS = {"learn"}

FILES = sorted(PACKAGE.rglob("*.py"))


def room(module: str) -> str:
    """``hemline.data.manifest`` → ``data``; ``hemline`` → ``__init__``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def name_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(file: Path) -> Iterator[tuple[str, bool]]:
    """(module, whether it is imported as the file is); those for the type checker are left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))

    def walk(node: ast.AST, at_once: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name} imports by dots; name the whole module"
            for alias in node.names:
                inside = PACKAGE.parent / Path(*str(node.module).split("."), alias.name)
                is_module = inside.is_dir() or inside.with_suffix(".py").is_file()
                yield f"{node.module}.{alias.name}" if is_module else str(node.module), at_once
        inner = at_once and not isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        )
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inner)

    yield from walk(tree, True)


def test_every_room_is_known() -> None:
    assert {room(name_of(file)) for file in FILES} <= set(ALLOWED)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_arrows_point_one_way(file: Path) -> None:
    own = room(name_of(file))
    wrong = [
        module
        for module, _ in imports(file)
        if module.split(".")[0] == "hemline" and room(module) not in {own, *_BASE, *ALLOWED[own]}
    ]
    assert not wrong, f"{name_of(file)} may not import {', '.join(wrong)}"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_torch_lives_in_learn_alone(file: Path) -> None:
    own = room(name_of(file))
    if own in ("learn", "losses"):
        return
    found = list(imports(file))
    assert not [m for m, _ in found if m.split(".")[0] in HEAVY]
    eager = [m for m, once in found if m.startswith("hemline.") and room(m) in LAZY_ROOMS and once]
    assert not eager, f"{name_of(file)} imports {', '.join(eager)} outside a function"


def test_the_retrieval_core_needs_numpy_alone() -> None:
    files = [file for file in FILES if room(name_of(file)) == "ranking"]
    found = {module.split(".")[0] for file in files for module, _ in imports(file)}
    assert found - set(sys.stdlib_module_names) == {"numpy", "hemline"}


def names_of_imports(file: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of each name that is imported from a module of ours, also in functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("hemline"):
            for alias in node.names:
                yield str(node.module), alias.name


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected parts of more than one module."""
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError as error:
        return [list(error.args[1])]
    return []


def test_no_circle_of_imports_also_not_through_functions() -> None:
    modules = {name_of(file): file for file in FILES}
    graph = {
        name: {module for module, _ in imports(file) if module in modules and module != name}
        for name, file in modules.items()
    }
    assert not circles(graph)
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}})


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_no_private_name_of_another_room(file: Path) -> None:
    own = room(name_of(file))
    private = [
        f"{module}.{name}"
        for module, name in names_of_imports(file)
        if room(f"{module}.{name}") != own
        and any(re.match("_[^_]", part) for part in [*module.split("."), name])
    ]
    assert not private, f"{name_of(file)} imports {', '.join(private)}"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_function_has_at_most_sixty_lines(file: Path) -> None:
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > 60
    ]
    assert not long, f"{name_of(file)}: {', '.join(long)}"


def test_the_test_sees_an_arrow_that_turns_round(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(
        "from hemline import cli\nimport torch.nn\n"
        "def f():\n    from hemline.learn.model import MODELS\n"
    )
    found = list(imports(file))
    assert found == [("hemline.cli", True), ("torch.nn", True), ("hemline.learn.model", False)]
    assert room("hemline.cli") not in {*_BASE, *ALLOWED["search"]}


#: Modules outside these rooms that need OpenCV; they are imported inside a function.
DRAWING_ROOMS, WITH_OPENCV = (
    {"synthetic", "learn"},
    {
        "hemline.data.checking.keypoints",
        "hemline.reproduce.fisher",
    },
)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_opencv_is_needed_only_to_draw_and_to_learn(file: Path) -> None:
    """What `pip install hemline` brings has no OpenCV."""
    if room(name_of(file)) in DRAWING_ROOMS:
        return
    found = list(imports(file))
    if name_of(file) not in WITH_OPENCV:
        assert not [module for module, _ in found if module.split(".")[0] == "cv2"]
    eager = [
        module
        for module, once in found
        if once
        and (room(module) == "synthetic" or module.rpartition(".")[0] in WITH_OPENCV)
        and module.startswith("hemline.")
    ]
    assert not eager, f"{name_of(file)} imports {', '.join(eager)} outside a function"


@pytest.mark.parametrize(
    "modules",
    [
        "hemline.search.engine, hemline.catalog.stores.sqlite",
        "hemline.evaluation.run, hemline.evaluation.model, hemline.evaluation.report",
        "hemline.demo.check, hemline.demo.show, hemline.synthetic.make",
        "hemline.service.run",
    ],
)
def test_importing_pulls_in_no_torch(modules: str) -> None:
    script = f"import sys, {modules}; print(*{sorted(HEAVY)!r} & sys.modules.keys())"
    script = script.replace(f"{sorted(HEAVY)!r}", f"set({sorted(HEAVY)!r})")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_help_loads_no_engine() -> None:
    script = (
        "import sys; from hemline.cli import main; main(['--help']); "
        "print(*sorted({'cv2', 'faiss', 'onnxruntime', 'pyarrow', 'torch'} & set(sys.modules)), "
        "file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == ""
    assert "catalog" in done.stdout
