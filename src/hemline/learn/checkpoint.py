"""Checkpoints (safetensors, with a state as JSON in the header; never pickle), and their encoder.

One file holds model, optimiser and progress, and is written in one step: after a kill it is the old
state or the new one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hemline.data.preprocess import ImageInput, Preprocessing, prepare
from hemline.data.seen import Seen, read_seen
from hemline.encoding import RerankResult, ShopEncoding, StreetEncoding
from hemline.errors import TrainingError, UsageError
from hemline.files import durable_path, write_durable
from hemline.learn.model import MODELS, RetrievalModel
from hemline.learn.recipe import Recipe
from hemline.ranking.tags import multi_hot
from hemline.types import Domain, FloatArray

RUN_FILE = "run.json"
RECIPE_FILE = "recipe.json"
METRICS_FILE = "metrics.csv"
LAST_FILE = "last.safetensors"
BEST_FILE = "best.safetensors"


def write_json(path: Path, value: Any) -> None:
    """Indented JSON, written durably."""
    write_durable(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def save(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Tensors and a JSON state to one safetensors file, written durably."""
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with durable_path(path) as temporary:
        save_file(plain, temporary, metadata={"state": json.dumps(state)})
        temporary.chmod(0o644)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and state of a checkpoint.

    Raises:
        TrainingError: there is none, or it is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            state = json.loads((file.metadata() or {}).get("state", "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise TrainingError(f"the checkpoint {path} can't be read: {error}") from None
    return tensors, state


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder, read.

    Attributes:
        folder: of the run.
        recipe: as resolved.
        info: ``run.json``: preprocessing, vocabulary, data, versions, machine.
        state: of the checkpoint: stage, epoch, figures.
        model: in evaluation mode.
    """

    folder: Path
    recipe: Recipe
    info: dict[str, Any]
    state: dict[str, Any]
    model: RetrievalModel

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return tuple(self.info["vocabulary"])

    @property
    def stage(self) -> str:
        return str(self.state["stage"])

    @property
    def seen(self) -> Seen | None:
        """What it was trained on; None of a run of an earlier version."""
        return read_seen(self.folder, self.info["data"].get("seen"))


def build(recipe: Recipe, vocabulary: Sequence[str], weights: bool = True) -> RetrievalModel:
    """The untrained model of a recipe, the same for the same seed.

    Args:
        weights: read the files of weights it starts from; False where a checkpoint follows.

    Raises:
        UsageError: no such model, key of its configuration, or file of weights.
    """
    spec = MODELS[recipe.model.name]
    values = _with_weights(recipe.model.config, weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return spec.build(spec.configure(values), vocabulary)


def _with_weights(
    config: Mapping[str, Any], keep: bool, where: str = "model.config."
) -> dict[str, Any]:
    """The configuration with its files of weights, or without; UsageError if one is missing."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            value = _with_weights(value, keep, f"{where}{key}.")
        elif key == "pretrained" and not keep:
            value = False
        elif key == "bundle" and not keep:
            value = None
        elif key == "weights" and value is not None:
            if keep and not Path(value).is_file():
                raise UsageError(
                    f"there is no file of weights {value}; name one by {where}weights=FILE "
                    "(model.safetensors of the network's page on the Hugging Face hub, timm/NAME), "
                    f"or take timm's own by {where}weights=null {where}pretrained=true "
                    f"{where}pad_type=null, which downloads them"
                )
            value = value if keep else None
        values[key] = value
    return values


def load_run(folder: Path) -> Run:
    """The best model of a run's last stage so far.

    Raises:
        TrainingError: no run there, or one that has no validated epoch yet.
    """
    if not (folder / RECIPE_FILE).is_file() or not (folder / RUN_FILE).is_file():
        raise TrainingError(
            f"{folder} is no run: it has no {RECIPE_FILE}. 'hemline train' makes one"
        )
    recipe = Recipe.model_validate_json((folder / RECIPE_FILE).read_text(encoding="utf-8"))
    info = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    best = sorted(folder.glob("checkpoints/*-" + BEST_FILE))
    if not best:
        raise TrainingError(
            f"the run {folder} has no checkpoint yet; run its 'hemline train' command again"
        )
    tensors, state = load(best[-1])
    config = info.get("model_config")
    if config is None:  # of an earlier version
        config = {**MODELS[recipe.model.name].earlier, **recipe.model.config}
    whole = recipe.model_copy(update={"model": recipe.model.model_copy(update={"config": config})})
    model = build(whole, info["vocabulary"], weights=False)
    restore(model, tensors)
    model.preprocessing = Preprocessing.model_validate(info["preprocessing"])
    return Run(folder, recipe, info, state, model.eval())


def restore(model: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "model.") -> None:
    """Puts the tensors under ``prefix`` into the model; raises TrainingError if they don't fit."""
    own = {n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)}
    try:
        model.load_state_dict(own)
    except RuntimeError as error:
        line = " ".join(str(error).split())
        raise TrainingError(f"the checkpoint does not fit the model: {line[:300]}") from None


def take_over(model: RetrievalModel, folder: Path) -> int:
    """Copies the weights of a run that the model has too, by name and shape; how many tensors.

    Raises:
        TrainingError: no run there, or nothing of it fits.
    """
    known = load_run(folder).model.state_dict()
    own = model.state_dict()
    fits = {k: v for k, v in known.items() if k in own and own[k].shape == v.shape and v.ndim}
    if not fits:
        raise TrainingError(f"nothing of the run {folder} fits this model; start from another run")
    model.load_state_dict({**own, **fits})
    return len(fits)


def weights_fingerprint(model: RetrievalModel, vocabulary: Sequence[str]) -> str:
    """Hash of all weights, the preprocessing and the vocabulary."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    digest.update(model.preprocessing.model_dump_json().encode())
    digest.update(json.dumps(list(vocabulary)).encode())
    return digest.hexdigest()[:32]


class CheckpointEncoder:
    """A run's model as a `hemline.encoding.Encoder`, in PyTorch.

    Args:
        run: the folder, or a `Run` already read.
        device: where it computes; the accelerator where there is one by default.
        batch_size: images at a time.
    """

    def __init__(
        self, run: Path | Run, device: str | torch.device | None = None, batch_size: int = 64
    ) -> None:
        self.run = run if isinstance(run, Run) else load_run(run)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = self.run.model.to(self.device)
        self.batch_size = batch_size
        self.name = self.run.recipe.model.name
        self.fingerprint = weights_fingerprint(self.model, self.run.vocabulary)
        self.embedding_dim, self.reranks = self.model.embedding_dim, self.model.reranks

    @property
    def seen(self) -> Seen | None:
        """See `Run`."""
        return self.run.seen

    @property
    def started_from(self) -> str:
        """What the training started from; empty of a run of an earlier version."""
        return str(self.run.info.get("started_from", ""))

    def _parts(self, images: Sequence[ImageInput], domain: Domain) -> list[Tensor]:
        spec, size = self.model.preprocessing, self.batch_size
        return [
            torch.stack(
                [torch.from_numpy(prepare(i, spec, domain)) for i in images[start : start + size]]
            )
            for start in range(0, len(images), size)
        ]

    @torch.inference_mode()
    def encode_street(self, images: Sequence[ImageInput]) -> StreetEncoding:
        outs = [
            self.model.encode_street(part.to(self.device)) for part in self._parts(images, "street")
        ]
        if not outs:
            return StreetEncoding(_empty(0, self.embedding_dim), None)
        local = [out.local for out in outs if out.local is not None]
        return StreetEncoding(
            _array(torch.cat([out.embedding for out in outs])),
            _array(torch.cat(local)) if local else None,
        )

    @torch.inference_mode()
    def encode_shop(
        self, images: Sequence[ImageInput], tags: Sequence[Sequence[str]]
    ) -> ShopEncoding:
        hot = torch.from_numpy(multi_hot(list(tags), self.run.vocabulary)).float()
        outs = [
            self.model.encode_shop(part.to(self.device), own.to(self.device))
            for part, own in zip(
                self._parts(images, "shop"), torch.split(hot, self.batch_size), strict=False
            )
        ]
        if not outs:
            return ShopEncoding(_empty(0, self.embedding_dim), _empty(0), None)
        attention = [out.attention for out in outs if out.attention is not None]
        return ShopEncoding(
            _array(torch.cat([out.embedding for out in outs])),
            _array(torch.cat([out.norm for out in outs])),
            _array(torch.cat(attention)) if attention else None,
        )

    @torch.inference_mode()
    def rerank(self, local: FloatArray, contexts: FloatArray) -> RerankResult:
        """local (C, L), contexts (K, C) → distance (K,), attention (K, L)."""
        out = self.model.rerank(
            torch.from_numpy(local).to(self.device), torch.from_numpy(contexts).to(self.device)
        )
        return RerankResult(_array(out.distance), _array(out.attention))


def _array(tensor: Tensor) -> FloatArray:
    array: FloatArray = tensor.float().cpu().numpy()
    return array


def _empty(*shape: int) -> FloatArray:
    return _array(torch.empty(shape))
