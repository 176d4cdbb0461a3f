"""Initial weights of DARN: the sub-networks of another run, or ImageNet's NIN as far as it fits."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from hemline.errors import UsageError
from hemline.learn.checkpoint import load

#: Convolutions and first 1×1 convolutions that DARN's NIN has in common with the public one: ours →
#: that of `hemline.learn.backbones.nin`. Its fourth is wider, and it has no fifth.
_NIN = {
    f"lower.{block}.{layer}.{part}": f"block{block + 1}.{layer}.{part}"
    for block in range(3)
    for layer in (0, 2)
    for part in ("weight", "bias")
}


def _from_nin(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    own = network.state_dict()
    for key, theirs in _NIN.items():
        if key not in own or own[key].shape != tensors[theirs].shape:
            raise UsageError(
                f"the weights {path.name} are of ImageNet's NIN, which has another {key}; take "
                "DARN's own widths, without batch_norm"
            )
    network.load_state_dict({key: tensors[theirs] for key, theirs in _NIN.items()}, strict=False)


def load_network(network: nn.Module, name: str, path: Path) -> None:
    """Loads all but the branches from the same sub-network of a checkpoint, or from its only one;
    of a file of ImageNet's NIN the first three convolutions.

    Raises:
        UsageError: no such file, or a network of another shape.
    """
    if not path.is_file():
        raise UsageError(f"no weights at {path}; give a run's checkpoint, a .safetensors file")
    tensors, _ = load(path)
    if "block1.0.weight" in tensors:
        _from_nin(network, tensors, path)
        return
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
