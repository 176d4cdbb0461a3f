"""Any pre-trained embedding as it is: a model of a hub, with its own preprocessing, as a bundle.

A source is ``library:NAME``:

================== ==========================================================================
source             what
================== ==========================================================================
``timm:NAME``      a model of timm with its weights: ``timm:convnext_tiny.fb_in22k``
``hf-hub:ORG/NAME`` a timm model that lies on the Hugging Face hub
``local-dir:PATH`` the same, a folder laid out as the hub lays it out
``open_clip:NAME`` the picture tower of open_clip: ``open_clip:ViT-B-32/laion2b_s34b_b79k``,
                   ``open_clip:hf-hub:Marqo/marqo-fashionSigLIP``, ``open_clip:local-dir:PATH``
``nin``, ``vgg_cnn_s``, ``alexnet`` the networks of the papers' baselines, with ``weights``
================== ==========================================================================

Street and shop pictures go through the same network; nothing is trained.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hemline.bundle import BundleInfo
from hemline.data.preprocess import Preprocessing, Triple
from hemline.errors import UsageError, nearest
from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.backbones.timm_backbone import load_weights
from hemline.learn.export.writer import check_goal, write_bundle
from hemline.learn.model import Batch, RetrievalModel, ShopOutput, Stage, StreetOutput
from hemline.types import Image

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
#: The papers' baselines, which no library has or whose features are read at a certain layer.
_OWN = ("alexnet", "nin", "vgg_cnn_s")


@dataclass(frozen=True, slots=True)
class Found:
    """A network from pictures (B, 3, S, S) to vectors (B, D), and how it wants its pictures."""

    network: nn.Module
    preprocessing: Preprocessing
    versions: dict[str, str]


class Pretrained(RetrievalModel):
    """One network for both domains, as it comes.

    Args:
        found: of `find`.
    """

    def __init__(self, found: Found) -> None:
        super().__init__()
        self.network = found.network
        self.preprocessing = found.preprocessing
        size = found.preprocessing.size
        with torch.inference_mode():
            out = self.network.eval()(torch.zeros(1, 3, size, size))
        if not isinstance(out, Tensor) or out.ndim != 2:
            raise UsageError(
                "the model gives no vector of a picture; name one with pooled features"
            )
        self.embedding_dim = int(out.shape[1])

    def encode_street(self, images: Tensor) -> StreetOutput:
        return StreetOutput(functional.normalize(self.network(images).float(), dim=1))

    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        vectors = self.network(images).float()
        norm = torch.linalg.vector_norm(vectors, dim=1)
        return ShopOutput(functional.normalize(vectors, dim=1), norm)

    def stages(self) -> tuple[Stage, ...]:
        return ()

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        raise TypeError("a pre-trained embedding is taken as it is; it has nothing to learn")


def find(source: str, weights: Path | None = None) -> Found:
    """The network a source names.

    Args:
        source: see the module.
        weights: a .safetensors or .pth file instead of the hub's.

    Raises:
        UsageError: an unknown source, a library that isn't installed, or weights that can't be had.
    """
    library, colon, name = source.partition(":")
    if source in _OWN:
        return _baseline(source, weights)
    if library == "open_clip" and name:
        return _open_clip(name, weights)
    if library == "timm" and name:
        return _timm(name, weights)
    if library in ("hf-hub", "local-dir") and name:
        return _timm(source, weights)
    if library == "timm" or not colon:
        raise UsageError(
            f"{source!r} names no pre-trained model. {nearest(source, _OWN)} Or: timm:NAME, "
            "hf-hub:ORG/NAME, local-dir:FOLDER, open_clip:NAME/WEIGHTS"
        )
    raise UsageError(
        f"no library {library!r}. {nearest(library, ('timm', 'hf-hub', 'local-dir', 'open_clip'))}"
    )


def bundle_pretrained(
    source: str,
    bundle: Path,
    *,
    weights: Path | None = None,
    precision: str = "float32",
    images: Sequence[Image] = (),
    name: str | None = None,
    force: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> BundleInfo:
    """Makes a bundle of a pre-trained embedding.

    Args:
        source, weights: see `find`.
        bundle, precision, images, force, say: see `hemline.learn.export.writer.write_bundle`.
        name: of the bundle; the source's by default.

    Raises:
        UsageError: see `find`, or the folder exists.
        TrainingError: a graph that doesn't give torch's numbers.
    """
    check_goal(bundle, precision, force)
    say(f"loading {source}")
    found = find(source, weights)
    model = Pretrained(found).eval()
    called = name or source.rstrip("/").split("/")[-1].split(":")[-1]

    def describe(
        folder: Path, files: dict[str, str], loss: dict[str, float]
    ) -> tuple[BundleInfo, str]:
        info = BundleInfo(
            name=called,
            summary=f"{source}, as it comes: one network for both domains, nothing trained here.",
            embedding_dim=model.embedding_dim,
            preprocessing=model.preprocessing,
            graphs=files,
            precision=precision,
            precision_loss=loss,
            training={
                "model": source,
                "weights": None if weights is None else weights.name,
                "versions": found.versions,
                "machine": {"system": platform.system(), "processor": platform.machine()},
            },
        )
        return info, _card(info, source)

    return write_bundle(
        model, bundle, describe, precision=precision, images=images, force=force, say=say
    )


def _timm(name: str, weights: Path | None) -> Found:
    import timm
    from timm.data.config import resolve_model_data_config

    plain = name.split(":")[-1].split(".")[0]
    if ":" not in name and plain not in timm.list_models():
        raise UsageError(f"timm has no model {name!r}. {nearest(plain, timm.list_models())}")
    try:
        network = timm.create_model(name, pretrained=weights is None, num_classes=0)
    except Exception as error:  # every hub has its own
        raise _unreachable(name, error) from None
    if weights is not None:
        config = getattr(network, "default_cfg", {}) or {}
        head = config.get("classifier") or ()
        ignored = (head,) if isinstance(head, str) else tuple(head)
        load_weights(network, weights, tuple(f"{one}." for one in ignored))
    wants: dict[str, Any] = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    side = int(wants["input_size"][1])
    way = wants.get("crop_mode", "center")
    preprocessing = _spec(
        side,
        "stretch" if way == "squash" else "crop",
        float(wants.get("crop_pct") or 1.0),
        str(wants.get("interpolation", "bicubic")),
        tuple(wants["mean"]),
        tuple(wants["std"]),
    )
    return Found(network, preprocessing, _versions("timm", "torch"))


def _open_clip(name: str, weights: Path | None) -> Found:
    try:
        import open_clip
    except ModuleNotFoundError:
        raise UsageError(
            "open_clip isn't installed; pip install 'hemline[learn,clip]' brings it"
        ) from None
    model_name, pretrained = name, None
    if not name.startswith(("hf-hub:", "local-dir:")):
        model_name, _, tag = name.partition("/")
        pretrained = tag or None
        if model_name not in open_clip.list_models():
            raise UsageError(
                f"open_clip has no model {model_name!r}. "
                f"{nearest(model_name, open_clip.list_models())}"
            )
        if weights is None and pretrained is None:
            raise UsageError(
                f"name the weights too, as in open_clip:{model_name}/openai, or give --weights"
            )
    if weights is not None:
        pretrained = str(weights)
    try:
        model, _, _ = open_clip.create_model_and_transforms(model_name, pretrained=pretrained)
    except Exception as error:  # every hub has its own
        raise _unreachable(f"open_clip:{name}", error) from None
    wants = dict(model.visual.preprocess_cfg)
    size = wants["size"]
    side = int(size if isinstance(size, int) else size[0])
    preprocessing = _spec(
        side,
        "stretch" if wants.get("resize_mode") == "squash" else "crop",
        1.0,
        str(wants.get("interpolation", "bicubic")),
        tuple(wants["mean"]),
        tuple(wants["std"]),
    )
    return Found(model.visual, preprocessing, _versions("open_clip_torch", "torch"))


def _baseline(name: str, weights: Path | None) -> Found:
    """The papers' networks, their last maps averaged (NIN, VGG-CNN-S) or fc7 (AlexNet)."""
    if weights is None:
        raise UsageError(f"{name} has no weights of its own here; give them: --weights FILE")
    if name == "alexnet":
        import torchvision

        whole = torchvision.models.alexnet()
        load_weights(whole, weights, ("classifier.6.",))
        head = nn.Sequential(*list(whole.classifier)[:-1])
        network: nn.Module = nn.Sequential(whole.features, whole.avgpool, nn.Flatten(), head)
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    else:
        backbone = build_backbone(BackboneConfig(name=name, weights=str(weights)), 224)
        network = nn.Sequential(
            backbone.shared, backbone.upper, nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    preprocessing = _spec(224, "crop", 0.875, "bilinear", mean, std)
    return Found(network, preprocessing, _versions("torch"))


def _spec(
    side: int,
    resize: str,
    crop_share: float,
    interpolation: str,
    mean: Sequence[float],
    std: Sequence[float],
) -> Preprocessing:
    """As the hubs say it; ``random`` interpolation is of training, bicubic is meant."""
    return Preprocessing(
        size=side,
        resize=resize,
        crop_share=crop_share if resize == "crop" else 1.0,
        interpolation=interpolation if interpolation in ("bilinear", "bicubic") else "bicubic",
        street_mean=_triple(mean),
        street_std=_triple(std),
        shop_mean=_triple(mean),
        shop_std=_triple(std),
    )


def _triple(values: Sequence[float]) -> Triple:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _unreachable(name: str, error: Exception) -> UsageError:
    line = " ".join(str(error).split())
    return UsageError(
        f"the weights of {name} can't be had: {line[:300]}. Without a network, download the "
        "model's folder elsewhere and name it: local-dir:FOLDER, or give --weights FILE"
    )


def _versions(*names: str) -> dict[str, str]:
    return {name: version(name) for name in names}


def _card(info: BundleInfo, source: str) -> str:
    how = info.preprocessing
    return "\n".join(
        [
            f"# {info.name}",
            "",
            info.summary,
            "",
            f"Embeddings of {info.embedding_dim} numbers, L2-normalised, compared by "
            f"{info.distance} distance; pictures of {how.size} pixels ({how.resize}, "
            f"{how.interpolation}). Weights stored as {info.precision}.",
            "",
            f"Source: `{source}`. Its licence is its authors'; look it up before you serve it.",
            "",
            "Measure it on your own data with `hemline evaluate`.",
            "",
        ]
    )
