"""``hemline models``: what can be trained, and the bundles that ship."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hemline.cli._common import JsonOption, emit, out


def models(as_json: JsonOption = False) -> None:
    """List the models that can be trained and the bundles that ship.

    Example: hemline models --json
    """
    from hemline.bundle import read_info
    from hemline.runtime.bundle import _shipped_root, shipped

    bundles = []
    for name in shipped():
        folder = _shipped_root() / name
        info = read_info(folder)
        bundles.append(
            {
                "name": name,
                "model": info.training.get("model", info.name),
                "summary": info.summary,
                "embedding_dim": info.embedding_dim,
                "size": info.preprocessing.size,
                "precision": info.precision,
                "bytes": sum(path.stat().st_size for path in folder.iterdir() if path.is_file()),
                "fingerprint": info.fingerprint,
            }
        )
    emit({"models": _registered(), "bundles": bundles}, as_json, _words)


def _registered() -> list[dict[str, Any]]:
    """The models that can be trained; their sizes are None where PyTorch isn't installed."""
    try:
        import torch

        from hemline.learn.model import MODELS
    except ModuleNotFoundError:
        from hemline.learn.listing import model_cards

        sizes = dict.fromkeys(("size", "embedding_dim", "parameters", "stages"))
        return [{**card, "needs": list(card["needs"]), **sizes} for card in model_cards()]
    rows = []
    for name, spec in MODELS.items():
        config = spec.configure({})
        with torch.device("meta"):
            model = spec.build(config, ("tag",))
        rows.append(
            {
                "name": name,
                "paper": spec.paper,
                "year": spec.year,
                "link": spec.link,
                "needs": list(spec.needs),
                "summary": spec.summary,
                "size": model.preprocessing.size,
                "embedding_dim": model.embedding_dim,
                "parameters": sum(p.numel() for p in model.parameters()),
                "stages": [stage.name for stage in model.stages()],
            }
        )
    return rows


def _words(result: Mapping[str, Any]) -> None:
    for row in result["models"]:
        sizes = ""
        if row["parameters"] is not None:
            sizes = f"{row['parameters'] / 1e6:6.1f} M parameters, {row['size']} px, "
        needs = f"needs {', '.join(row['needs'])}"
        out(f"{row['name']:<12} {row['year']}  {sizes}{needs}: {row['summary']}")
        out(f"{'':<12} {row['paper']}, {row['link']}")
    if any(row["parameters"] is None for row in result["models"]):
        out("Training needs PyTorch: pip install 'hemline[learn]'")
    for row in result["bundles"]:
        out(
            f"bundle {row['name']}: {row['model']}, {row['bytes'] / 1e6:.1f} MB "
            f"{row['precision']}, {row['size']} px, {row['embedding_dim']} numbers: "
            f"{row['summary']}"
        )


COMMANDS = {"models": models}
