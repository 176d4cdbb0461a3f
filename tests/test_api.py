"""The public names: which there are, that docs/api.md says so, and that its examples run."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import hemline
from helpers import needs
from helpers.drawn_pairs import make

ROOT = Path(__file__).parents[1]
#: Removing one of these breaks users' code; adding one is a decision: docs/api.md lists them.
NAMES = {
    "Box", "Bundle", "Catalog", "Client", "Detection", "Engine", "HemlineError", "Hit", "Manifest",
    "Record", "SearchRequest", "SearchResult", "SyncOptions", "__version__", "adapt", "evaluate",
    "load", "losses", "metrics", "quantize", "train",
}  # fmt: skip
METRICS = {
    "average_precision", "hits_at_k", "mean_average_precision", "mean_reciprocal_rank",
    "ndcg_at_k", "recall_at_k", "reciprocal_ranks",
}  # fmt: skip
LOSSES = {
    "ProxyAnchorLoss",
    "info_nce_loss",
    "multilabel_loss",
    "proxy_anchor_loss",
    "triplet_loss",
}


def has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_api", ROOT / "docs/generate_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_public_names() -> None:
    assert set(hemline.__all__) == NAMES
    assert set(dir(hemline)) == NAMES
    assert set(hemline.metrics.__all__) >= METRICS
    for name in NAMES - {"losses", "train"}:
        assert getattr(hemline, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hemline.nothing


def test_the_public_losses() -> None:
    if not has_torch():
        needs.skip("learn")
    from hemline.losses import LOSSES as registry

    assert set(hemline.losses.__all__) >= LOSSES
    assert {"triplet", "infonce"} <= set(registry)


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("losses", "torch", "learn"), ("train", "yaml", "learn")]
)
def test_a_missing_package_is_named_with_its_extra(name: str, module: str, extra: str) -> None:
    script = f"import sys, hemline; sys.modules[{module!r}] = None; hemline.{name}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    words = f"hemline.{name} needs {module}: pip install 'hemline[{extra}]'"
    assert words in done.stderr.splitlines()[-1]


def test_import_hemline_imports_nothing_heavy() -> None:
    script = (
        "import sys, hemline; "
        "print(*{'numpy', 'pyarrow', 'cv2', 'onnxruntime', 'faiss', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_the_page_of_the_api_is_up_to_date() -> None:
    if not has_torch():
        needs.skip("learn")
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert text == generator().render(), "docs/api.md is stale: make docs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the examples assume it: a photo, a manifest, a catalogue."""
    root = tmp_path_factory.mktemp("api")
    manifest = hemline.Manifest.read(make(root / "pairs"))
    manifest.write(root / "data.parquet")
    shutil.copy(manifest.file(0), root / "photo.jpg")
    with hemline.Catalog.create(root / "catalog", hemline.Bundle.default()) as catalog:
        catalog.add(manifest)
    return root


def run(code: str, folder: Path) -> str:
    assert len(code.strip().splitlines()) <= 6, "an example has five lines at most, and an import"
    if "import hemline" not in code:
        code = f"import hemline\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-1500:]
    return done.stdout


@pytest.mark.parametrize("title", sorted(generator().EXAMPLES))
def test_the_examples_of_the_api_run(title: str, folder: Path) -> None:
    if not has_torch() and ("rain" in title or "loss" in title):
        needs.skip("learn")
    run(generator().EXAMPLES[title], folder)


def readme_examples() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [part.split("```")[0] for part in text.split("```python\n")[1:]]


@pytest.mark.parametrize("number", range(len(readme_examples())))
def test_the_examples_of_the_readme_run(number: int, folder: Path) -> None:
    code = readme_examples()[number]
    if not has_torch() and "train" in code:
        needs.skip("learn")
    run(code, folder)
