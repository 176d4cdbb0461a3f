"""What a training starts from, and what that was trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from hemline.bundle import read_info
from hemline.data.seen import Seen, read_seen
from hemline.errors import BundleError, UsageError
from hemline.learn import checkpoint
from hemline.learn.model import MODELS
from hemline.learn.recipe import Recipe

#: In results, of a run that starts from nothing.
RANDOM = "random weights"


@dataclass(frozen=True, slots=True)
class Start:
    """A source of initial weights.

    Attributes:
        kind: ``run`` (a folder), ``weights`` (a file), ``bundle``, or ``pretrained`` (timm's own).
        name: of the folder, file, bundle or network.
    """

    kind: Literal["run", "weights", "bundle", "pretrained"]
    name: str

    def described(self) -> str:
        """For results; of a path only its last part."""
        words = {"run": "the run ", "weights": "weights ", "bundle": "the bundle "}
        if self.kind == "pretrained":
            return f"timm's pre-trained weights of {self.name}"
        return words[self.kind] + Path(self.name).name


def starts_of(recipe: Recipe) -> list[Start]:
    """Everything that a recipe's run starts from; empty for random weights."""
    found = [] if recipe.start is None else [Start("run", recipe.start)]
    whole = MODELS[recipe.model.name].configure(recipe.model.config).model_dump()
    found += _of_config(whole)
    return list(dict.fromkeys(found))


def with_weights(recipe: Recipe, weights: str) -> Recipe:
    """The recipe with another start of its model.

    Args:
        weights: a file, or ``random``.

    Raises:
        UsageError: the model has no such setting.
    """
    file = None if weights == "random" else weights
    fields = MODELS[recipe.model.name].config.model_fields
    config = dict(recipe.model.config)
    if "weights" in fields:
        config["weights"] = file
    elif "backbone" in fields:
        own = config.get("backbone", {})
        own = {"name": own} if isinstance(own, str) else dict(own)
        config["backbone"] = {**own, "weights": file, "pretrained": False}
        if file is None:
            config["backbone"]["bundle"] = None
    else:
        raise UsageError(f"{recipe.model.name} has no weights to start from; leave --weights out")
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"config": config})})


def described(starts: list[Start]) -> dict[str, Any]:
    """For ``run.json``: ``started_from`` in words, and ``starts``."""
    words = ", ".join(start.described() for start in starts) or RANDOM
    return {"started_from": words, "starts": [asdict(start) for start in starts]}


def with_starts(seen: Seen, starts: list[Start]) -> Seen:
    """The record of a run joined with those of what it starts from.

    Of a bundle the network alone is taken over, not what was fitted on top of it. timm's weights
    count as trained on nothing of ours; any other start without a record is named.
    """
    for start in starts:
        if start.kind == "pretrained":
            continue
        known = _record(start)
        named = seen.without_record(start.described())
        seen = named if known is None else seen.joined(known)
    return seen


def _of_config(config: Mapping[str, Any], network: str = "") -> Iterator[Start]:
    name = str(config.get("name", network))
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _of_config(value, name)
        elif key == "pretrained" and value is True:
            yield Start("pretrained", name)
        elif key == "weights" and value is not None:
            yield Start("weights", str(value))
        elif key == "bundle" and value is not None:
            yield Start("bundle", str(value))


def _record(start: Start) -> Seen | None:
    path = Path(start.name).expanduser()
    if start.kind == "bundle":
        shipped = Path(str(resources.files("hemline"))) / "bundles" / start.name
        folder = shipped if shipped.is_dir() else path
        try:
            found = read_seen(folder, read_info(folder).training.get("seen"))
        except BundleError:
            return None
        return None if found is None else found.of_network()
    # A checkpoint lies in the folder `checkpoints` of its run.
    folder = path if start.kind == "run" else path.parent.parent
    file = folder / checkpoint.RUN_FILE
    if not file.is_file():
        return None
    info = json.loads(file.read_text(encoding="utf-8"))
    return read_seen(folder, info.get("data", {}).get("seen"))
