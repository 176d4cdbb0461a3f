"""``hemline models``: the models that can be trained, and the bundles that ship."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from hemline.cli._common import JsonOption, emit, out

#: What is read of a ``ModelSpec(…)`` in a model's source.
_FIELDS = ("name", "paper", "year", "link", "needs", "summary")
#: Known only once a model is built, which needs PyTorch.
_BUILT = ("size", "embedding_dim", "parameters", "stages")


def models(as_json: JsonOption = False) -> None:
    """List the models that can be trained and the bundles that ship.

    Sizes and numbers of parameters are shown where PyTorch is installed.

    Example: hemline models --json
    """
    emit({"models": trainable(), "losses": _losses(), "bundles": _bundles()}, as_json, _words)


def trainable() -> list[dict[str, Any]]:
    """The models, sorted by name: what their source declares, their recipes, and their sizes.

    Sizes are None without PyTorch; models of other installed packages are then left out, since
    reading those takes an import.
    """
    try:
        rows = list(_registered())
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("torch", "timm"):
            raise
        rows = [row | dict.fromkeys(_BUILT) for row in _declared()]
    recipes = _recipes()
    return [row | {"recipes": recipes.get(row["name"], [])} for row in rows]


def _declared() -> list[dict[str, Any]]:
    """`_FIELDS` of every ``ModelSpec(…)`` in `hemline.learn.models`, without importing it."""
    rows = []
    for file in _folder("learn/models").glob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        constants = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ModelSpec":
                given = {word.arg: word.value for word in node.keywords}
                values = {name: given[name] for name in _FIELDS}
                rows.append(
                    {
                        name: ast.literal_eval(
                            constants[value.id] if isinstance(value, ast.Name) else value
                        )
                        for name, value in values.items()
                    }
                )
    return [row | {"needs": list(row["needs"])} for row in sorted(rows, key=lambda r: r["name"])]


def _registered() -> Iterator[dict[str, Any]]:
    """The registry's entries with the sizes of each model as it is published."""
    from hemline.learn.model import MODELS
    from hemline.learn.sizes import published_sizes

    for spec in MODELS.values():
        own = {name: getattr(spec, name) for name in _FIELDS}
        yield own | {"needs": list(spec.needs)} | published_sizes(spec)


def _losses() -> list[str] | None:
    """Losses that a recipe's `model.config.loss` can name; None where PyTorch isn't installed."""
    try:
        from hemline.learn.loss import ranking_losses
    except ModuleNotFoundError:
        return None
    return list(ranking_losses())


def _recipes() -> dict[str, list[str]]:
    """Model → the recipes that train it. PyYAML comes with PyTorch, so their text is read."""
    found: dict[str, list[str]] = {}
    for file in sorted(_folder("recipes").glob("*.yaml")):
        text = file.read_text(encoding="utf-8")
        model = re.search(r"^model:\n(?:  .*\n)*?  name: (\S+)", text, re.MULTILINE)
        if model is not None:
            found.setdefault(model[1], []).append(file.stem)
    return found


def _bundles() -> list[dict[str, Any]]:
    from hemline.bundle import read_info
    from hemline.runtime.bundle import shipped, shipped_root

    rows = []
    for name in shipped():
        folder = shipped_root() / name
        info = read_info(folder)
        own = ("summary", "embedding_dim", "precision", "fingerprint")
        rows.append(
            {
                "name": name,
                "model": info.training.get("model", info.name),
                "size": info.preprocessing.size,
                "bytes": sum(path.stat().st_size for path in folder.iterdir() if path.is_file()),
                **{key: getattr(info, key) for key in own},
            }
        )
    return rows


def _folder(name: str) -> Path:
    return Path(str(files("hemline"))) / name


def _words(result: Mapping[str, Any]) -> None:
    for row in result["models"]:
        size = ""
        if row["parameters"] is not None:
            size = f"{row['parameters'] / 1e6:6.1f} M parameters, {row['size']} px, "
        needs = ", ".join(row["needs"])
        out(f"{row['name']:<12} {row['year']}  {size}needs {needs}: {row['summary']}")
        out(f"{'':<12} {row['paper']}, {row['link']}")
        if row["recipes"]:
            out(f"{'':<12} recipes: {', '.join(row['recipes'])}")
    if any(row["parameters"] is None for row in result["models"]):
        out("Training needs PyTorch: pip install 'hemline[learn]'")
    for row in result["bundles"]:
        out(
            f"bundle {row['name']}: {row['model']}, {row['bytes'] / 1e6:.1f} MB "
            f"{row['precision']}, {row['size']} px, embedding of {row['embedding_dim']}: "
            f"{row['summary']}"
        )


COMMANDS = {"models": models}
