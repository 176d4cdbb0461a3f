"""The recipes that ship and train an embedding."""

from __future__ import annotations

import yaml

from hemline.learn.recipe import Recipe, load, shipped


def recipes(scale: str) -> dict[str, Recipe]:
    """Those that train an embedding and have the scale."""
    found = {}
    for name, path in shipped().items():
        if scale in ("paper", *yaml.safe_load(path.read_text(encoding="utf-8"))["scales"]):
            recipe = load(name, scale)
            if isinstance(recipe, Recipe):
                found[name] = recipe
    return found
