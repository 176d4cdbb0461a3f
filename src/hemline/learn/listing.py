"""What is known of every model without importing PyTorch, read from the source of its file."""

from __future__ import annotations

import ast
from importlib import resources
from typing import Any

#: Of `ModelSpec`. A model's file gives these as literals, or as names of literals of its own.
FIELDS = ("name", "paper", "year", "link", "needs", "summary")


def model_cards() -> list[dict[str, Any]]:
    """The `FIELDS` of every entry of ``MODELS`` in the files of `hemline.learn.models`, by name.

    Raises:
        RuntimeError: a file has no such entry, or an entry lacks a field.
    """
    cards = []
    for file in resources.files("hemline.learn.models").iterdir():
        if file.name.endswith(".py") and not file.name.startswith("_"):
            found = _cards(ast.parse(file.read_text(encoding="utf-8")))
            if not found or any(set(card) != set(FIELDS) for card in found):
                raise RuntimeError(f"{file.name}: MODELS needs literal {', '.join(FIELDS)}")
            cards += found
    return sorted(cards, key=lambda card: str(card["name"]))


def _cards(tree: ast.Module) -> list[dict[str, Any]]:
    """The literal fields of each call in the dictionary ``MODELS`` of a file."""
    assigned = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    models = assigned.get("MODELS")
    calls = models.values if isinstance(models, ast.Dict) else []
    return [
        {
            word.arg: ast.literal_eval(_value(word.value, assigned))
            for word in call.keywords
            if word.arg in FIELDS
        }
        for call in calls
        if isinstance(call, ast.Call)
    ]


def _value(node: ast.expr, assigned: dict[str, ast.expr]) -> ast.expr:
    return assigned.get(node.id, node) if isinstance(node, ast.Name) else node
