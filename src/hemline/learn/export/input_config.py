"""How a file of weights wants its input: the normalisation of its images, and its layers' padding.

A state dictionary has neither, and a network with other values gives other vectors without a word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hemline.data.preprocess import Triple
from hemline.errors import UsageError

Padding = Literal["same", "symmetric"]
PADDINGS: tuple[Padding, ...] = ("same", "symmetric")


@dataclass(frozen=True, slots=True)
class InputConfig:
    """Values that a user, a file's metadata or a hub's configuration names; None: not named.

    Attributes:
        mean, std: of R, G, B in [0, 1].
        padding: ``same`` as TensorFlow pads, ``symmetric`` as PyTorch does.
    """

    mean: Triple | None = None
    std: Triple | None = None
    padding: Padding | None = None

    def __or__(self, other: InputConfig) -> InputConfig:
        """What ``other`` says, where this says nothing."""
        return InputConfig(
            self.mean or other.mean, self.std or other.std, self.padding or other.padding
        )

    def lacking(self, *, padded: bool) -> list[str]:
        """The options that have to be given; ``padded``: whether the network's padding varies."""
        values: dict[str, object] = {"--mean": self.mean, "--std": self.std}
        if padded:
            values["--padding"] = self.padding
        return [option for option, value in values.items() if value is None]


def read_input_config(file: Path, architecture: str) -> InputConfig:
    """What a file says: its safetensors header, or a hub's ``config.json`` beside it.

    The header's metadata may have ``mean`` and ``std`` (JSON lists), ``pad_type``, or a timm
    ``pretrained_cfg``.
    """
    header: dict[str, Any] = {}
    if file.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(file, "pt") as opened:
                header = {name: _value(text) for name, text in (opened.metadata() or {}).items()}
        except (OSError, SafetensorError):  # told where the weights are read
            return InputConfig()
    found = of_config(header)
    config = header.get("pretrained_cfg")
    if isinstance(config, Mapping):
        found |= of_config(config, complete=True)
    beside = file.with_name("config.json")
    if beside.is_file():
        whole = _value(beside.read_text(encoding="utf-8", errors="replace"))
        if isinstance(whole, Mapping) and whole.get("architecture") == architecture:
            own = whole.get("pretrained_cfg", whole)
            found |= of_config(whole.get("model_args") or {})
            found |= of_config(own if isinstance(own, Mapping) else {}, complete=True)
    return found


def of_config(config: Mapping[str, Any], *, complete: bool = False) -> InputConfig:
    """What a configuration of timm says; a ``complete`` one without padding means PyTorch's."""
    pad = config.get("pad_type")
    padding: Padding | None = "same" if pad == "same" else "symmetric" if pad == "" else None
    mean, std = _triple(config.get("mean")), _triple(config.get("std"))
    if padding is None and complete and mean and std:
        padding = "symmetric"
    return InputConfig(mean, std, padding)


def parse(mean: str | None, std: str | None, padding: str | None) -> InputConfig:
    """What the options say.

    Raises:
        UsageError: not three numbers, or no such padding.
    """
    chosen = next((known for known in PADDINGS if known == padding), None)
    if padding is not None and chosen is None:
        raise UsageError(f"--padding is {' or '.join(PADDINGS)}, not {padding!r}")
    return InputConfig(_numbers("--mean", mean), _numbers("--std", std), chosen)


def _numbers(option: str, text: str | None) -> Triple | None:
    found = None if text is None else _triple(_value(f"[{text}]"))
    if text is not None and found is None:
        raise UsageError(f"{option} is three numbers of R, G, B in 0-1, as 0.5,0.5,0.5")
    return found


def check(inputs: InputConfig, file: Path, source: str, *, padded: bool) -> None:
    """Refuses weights whose normalisation or padding nothing names.

    Args:
        padded: whether the network's padding varies.

    Raises:
        UsageError: a value is missing.
    """
    lacking = inputs.lacking(padded=padded)
    if lacking:
        raise UsageError(
            f"{file.name} doesn't say how its images were prepared: give {', '.join(lacking)} "
            "(--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 is ImageNet's; 0.5,0.5,0.5 for "
            "both, with --padding same, that of most weights from TensorFlow), or name the "
            f"weights' tag, as in {source.split('.')[0]}.TAG"
        )


def _triple(value: Any) -> Triple | None:
    try:
        first, second, third = (float(one) for one in value)
    except (TypeError, ValueError):
        return None
    return first, second, third


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
