"""An installed package adds a model, a data set, a loss, a store and a command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent / "plugin"


def install(site: Path, name: str, points: dict[str, dict[str, str]]) -> None:
    """What an installer writes: metadata with the entry points."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
        for group, entries in points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


def hemline(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(PLUGIN / "hemline_example", folder / "hemline_example")
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    install(folder, project["name"], project["entry-points"])
    return folder


def test_a_command(site: Path) -> None:
    assert "greet" in hemline(site, "-m", "hemline", "--help").stdout
    assert hemline(site, "-m", "hemline", "greet", "Ada").stdout == "Hello Ada\n"


def test_a_data_set(site: Path, tmp_path: Path) -> None:
    listed = hemline(site, "-m", "hemline", "data", "read", "--list", "--json")
    assert "triples" in {one["name"] for one in json.loads(listed.stdout)["formats"]}
    (tmp_path / "list.txt").write_text("a.jpg one street\nb.jpg one shop\n")
    out = tmp_path / "m.csv"
    done = hemline(
        site, "-m", "hemline", "data", "read", "triples", str(tmp_path / "list.txt"), "-o", str(out)
    )
    assert done.returncode == 0, done.stderr
    shown = hemline(
        site, "-m", "hemline", "data", "protocol", str(out), "--protocol", "everything", "--json"
    )
    assert json.loads(shown.stdout)["protocols"][0]["queries"] == 1


def test_a_model_and_a_loss(site: Path) -> None:
    pytest.importorskip("torch")
    listed = json.loads(hemline(site, "-m", "hemline", "models", "--json").stdout)
    assert "mean-colour" in {row["name"] for row in listed["models"]}
    assert listed["losses"] == ["centroid", "contrast", "infonce", "proxy_anchor", "triplet"]
    code = """
        import torch
        from hemline.learn.model import MODELS, Batch
        batch = Batch(
            torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32), torch.zeros(4, 0),
            torch.arange(4), torch.arange(4),
        )
        for name in ("mean-colour", "ynet"):
            spec = MODELS[name]
            model = spec.build(spec.configure({**spec.tiny, "loss": "contrast"}), ())
            stage = model.stages()[0]
            model.begin_stage(stage)
            size = model.preprocessing.size
            batch.street, batch.shop = torch.rand(2, 4, 3, size, size)
            print(bool(torch.isfinite(model.loss(batch, stage)["total"])))
        try:
            MODELS["ynet"].configure({"loss": "contrats"})
        except Exception as error:
            print(error)
    """
    done = hemline(site, "-c", "\n".join(line[8:] for line in code.splitlines()))
    assert done.stdout.split("\n")[:2] == ["True", "True"], done.stderr
    assert "no loss 'contrats'. Did you mean 'contrast'?" in done.stdout


def test_a_store(site: Path) -> None:
    code = (
        "from hemline.catalog.stores import STORES; from pathlib import Path; "
        "print(*STORES, len(STORES['scratch'].create(Path(), 'print', 4).counts()))"
    )
    assert hemline(site, "-c", code).stdout == "memory milvus scratch sqlite 2\n"


def test_without_the_package_nothing_of_it_is_there() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hemline", "greet", "Ada"], capture_output=True, text=True
    )
    assert done.returncode == 2


def test_a_broken_plugin_is_named_and_the_rest_works(tmp_path: Path) -> None:
    (tmp_path / "broken_module.py").write_text("import no_such_library\n")
    (tmp_path / "empty_module.py").write_text("")
    points = {"broken": "broken_module", "empty": "empty_module", "func": "json:loads"}
    install(tmp_path, "broken-plugin", {"hemline.datasets": points})
    done = hemline(tmp_path, "-m", "hemline", "data", "read", "--list", "--json")
    assert done.returncode == 0
    assert {"inshop", "csv"} <= {one["name"] for one in json.loads(done.stdout)["formats"]}
    lines = [line for line in done.stderr.splitlines() if line]
    assert [line.count("the plug-in broken-plugin is left out") for line in lines] == [1, 1, 1]
    assert "No module named 'no_such_library'" in done.stderr
    assert "empty_module declares no READERS or PROTOCOLS" in done.stderr
    assert "json:loads is no module" in done.stderr


@pytest.mark.parametrize("other", ["hemline", "the plug-in first-plugin"])
def test_two_of_one_name_is_an_error_that_names_both(tmp_path: Path, other: str) -> None:
    name = "csv" if other == "hemline" else "mine"
    (tmp_path / "twice.py").write_text(f"READERS = {{{name!r}: None}}\n")
    if other != "hemline":
        install(tmp_path, "first-plugin", {"hemline.datasets": {"a": "twice"}})
    install(tmp_path, "second-plugin", {"hemline.datasets": {"b": "twice"}})
    done = hemline(tmp_path, "-m", "hemline", "data", "read", "--list")
    assert done.returncode == 2
    assert f"the data format '{name}' is declared by" in done.stderr
    assert "second-plugin" in done.stderr
    assert other.removeprefix("the plug-in ") in done.stderr
