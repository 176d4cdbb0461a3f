"""Initial weights of DARN: the sub-networks of another run."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from hemline.errors import UsageError
from hemline.learn.checkpoint import load


def load_network(network: nn.Module, name: str, path: Path) -> None:
    """Loads all but the branches from the same sub-network of a checkpoint, or from its only one.

    Raises:
        UsageError: no such file, or a network of another shape.
    """
    if not path.is_file():
        raise UsageError(f"no weights at {path}; give a run's checkpoint, a .safetensors file")
    tensors, _ = load(path)
    prefixes = [f"model.networks.{own}." for own in (name, "both", "street")] + [""]
    prefix = next(p for p in prefixes if any(key.startswith(p) for key in tensors))
    known = {key.removeprefix(prefix): value for key, value in tensors.items()}
    own = {key: value for key, value in network.state_dict().items() if "tree." not in key}
    for key, value in own.items():
        if key not in known or known[key].shape != value.shape:
            found = tuple(known[key].shape) if key in known else "none"
            raise UsageError(
                f"the weights {path.name} are of another network: {key} has shape {found}, "
                f"not {tuple(value.shape)}"
            )
    network.load_state_dict({key: known[key] for key in own}, strict=False)
