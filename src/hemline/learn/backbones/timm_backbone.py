"""A convolutional backbone of timm as a chain of units, to be cut in two.

timm's convolutional networks are chains of modules up to the pooling. That the chain gives the
output of timm's ``forward_features`` is checked when it is built; a network that is no plain chain
is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hemline.errors import UsageError, nearest
from hemline.learn.backbones.base import Units, run_once

#: Modules that end the features; they and what follows belong to classification.
ENDS = ("global_pool", "head", "fc", "classifier", "pre_logits")


def timm_units(
    name: str,
    size: int,
    weights: Path | None = None,
    pretrained: bool = False,
    extra: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[Units, str]:
    """The units of a timm network's features, and the stage it is cut after by default.

    Args:
        name: timm's name of it.
        size: side of the input in pixels.
        weights: a .safetensors or .pth file; the classifier's are ignored, all others must fit.
        pretrained: take timm's own weights (downloads them).
        extra: further arguments of ``timm.create_model`` (``pad_type``, ``output_stride``).

    Returns:
        The units, and the name of the last-but-one stage of timm's ``feature_info``.

    Raises:
        UsageError: an unknown name or option, weights that don't fit, or no plain chain.
    """
    if weights is not None and pretrained:
        raise UsageError("give weights or pretrained for a backbone, not both")
    known = timm.list_models()
    if name.split(".")[0] not in known:
        raise UsageError(f"no backbone {name!r}. {nearest(name, [*known, 'nin', 'vgg_cnn_s'])}")
    try:
        model = timm.create_model(name, pretrained=pretrained, **extra)
    except Exception as error:  # the hub raises anything where it isn't reached
        if pretrained and not isinstance(error, TypeError):
            line = " ".join(str(error).split())[:200]
            raise UsageError(
                f"timm's weights of {name} can't be had: {line}. Give a file of them by --weights "
                "FILE, or start from nothing by --weights random, and the results say so"
            ) from None
        if isinstance(error, TypeError | RuntimeError):
            raise UsageError(f"timm can't build {name!r}: {error}") from None
        raise
    if weights is not None:
        load_weights(model, weights, (*classifier_prefixes(model), *(f"{end}." for end in ENDS)))
    units = _units(model)
    model.eval()
    chain = nn.Sequential(*(unit for _, unit in units)).eval()
    try:
        own, whole = run_once(chain, size), _features(model, size)
        # On the meta device (to count parameters) there are shapes only.
        same = own.shape == whole.shape and (own.is_meta or torch.equal(own, whole))
    except Exception as error:  # modules raise anything for input that doesn't fit
        raise UsageError(f"{name} can't be cut as a chain at {size} px: {error}") from None
    if not same:
        raise UsageError(
            f"{name} is no plain chain of modules, so it can't be cut into shared and branch "
            "parts; take a convolutional backbone such as mobilenetv2_100 or resnet50"
        )
    return units, _default_cut(model, [unit for unit, _ in units])


def load_weights(model: nn.Module, path: Path, ignore: tuple[str, ...] = ()) -> None:
    """Loads a file into a module; every key must fit but those under the prefixes ``ignore``.

    Raises:
        UsageError: no such file, an unreadable one, or one of another network.
    """
    if not path.is_file():
        raise UsageError(
            f"no weights at {path}; give the path of a .safetensors or .pth file: weights=FILE of "
            "the recipe's backbone, --weights FILE of 'hemline bundle'. Those of timm are on the "
            "Hugging Face hub, timm/NAME"
        )
    state = read_weights(path)
    own = model.state_dict()

    def ours(keys: Mapping[str, Tensor]) -> set[str]:
        return {k for k in keys if not k.startswith(ignore)} if ignore else set(keys)

    # Converted weights often lack this counter, which no network with a momentum reads.
    lacking = {key for key in ours(own) - ours(state) if not key.endswith("num_batches_tracked")}
    wrong = [f"lacks {key}" for key in sorted(lacking)]
    wrong += [f"has an unknown {key}" for key in sorted(ours(state) - ours(own))]
    wrong += [
        f"has {key} of shape {tuple(state[key].shape)}, not {tuple(own[key].shape)}"
        for key in sorted(ours(own) & ours(state))
        if state[key].shape != own[key].shape
    ]
    if wrong:
        raise UsageError(
            f"the weights {path.name} are of another network: it {wrong[0]}"
            + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else "")
        )
    model.load_state_dict({key: state[key] for key in ours(state)}, strict=False)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .pth file; raises UsageError if it can't be read."""
    try:
        if path.suffix == ".safetensors":
            loaded: dict[str, Tensor] = load_file(path)
            return loaded
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # readers raise anything
        raise UsageError(f"the weights {path} can't be read: {error}") from None
    for wrapper in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UsageError(f"{path} holds no state dictionary of tensors")
    return {key.removeprefix("module."): value for key, value in state.items()}


def classifier_prefixes(model: nn.Module) -> tuple[str, ...]:
    """Prefixes of the parameters of a timm network's classifier."""
    config = getattr(model, "default_cfg", {}) or {}
    names = config.get("classifier") or ()
    names = (names,) if isinstance(names, str) else tuple(names)
    return tuple(f"{name}." for name in names)


def _units(model: nn.Module) -> Units:
    """Top-level modules up to the pooling; containers of stages are expanded by one level."""
    units: list[tuple[str, nn.Module]] = []
    for name, module in model.named_children():
        if name in ENDS:
            break
        if isinstance(module, nn.Sequential) and name in ("blocks", "stages", "features"):
            units += [(f"{name}.{child}", unit) for child, unit in module.named_children()]
        elif not isinstance(module, nn.Identity):
            units.append((name, module))
    return units


def _features(model: nn.Module, size: int) -> Tensor:
    image = torch.linspace(-1, 1, 3 * size * size).view(1, 3, size, size)
    with torch.no_grad():
        output: Tensor = model.forward_features(image)  # type: ignore[operator]
    return output


def _default_cut(model: nn.Module, names: list[str]) -> str:
    """The last-but-one stage of timm's ``feature_info``."""
    info = getattr(model, "feature_info", None) or []
    stages = [str(stage["module"]) for stage in info if str(stage["module"]) in names]
    return stages[-2] if len(stages) > 1 else names[len(names) // 2]
