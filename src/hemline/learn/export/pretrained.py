"""Pre-trained embeddings as bundles: a model of a hub with its own preprocessing, nothing trained.

A source is ``library:NAME``:

================== ==========================================================================
source             model
================== ==========================================================================
``timm:NAME``      a model of timm with its weights: ``timm:convnext_tiny.fb_in22k``
``hf-hub:ORG/NAME`` a timm model of the Hugging Face hub
``local-dir:PATH`` the same, from a folder laid out as on the hub
``open_clip:NAME`` the image encoder of open_clip: ``open_clip:ViT-B-32/laion2b_s34b_b79k``,
                   ``open_clip:hf-hub:Marqo/marqo-fashionSigLIP``, ``open_clip:local-dir:PATH``
``nin``, ``vgg_cnn_s``, ``alexnet`` the networks of the papers' baselines, with ``weights``
``vgg19``          VGG-19 up to fc6, with timm's weights or ``weights``
================== ==========================================================================

Street and shop images go through the same network.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hemline.bundle import BundleInfo, take_detector
from hemline.data.preprocess import Preprocessing
from hemline.errors import UsageError, nearest
from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.backbones.alexnet import caffe_alexnet
from hemline.learn.backbones.caffe import MEAN, STD
from hemline.learn.backbones.converted import normalisation_of
from hemline.learn.backbones.timm_backbone import (
    classifier_prefixes,
    load_weights,
    read_weights,
)
from hemline.learn.export.card import fill_card
from hemline.learn.export.detector import detector_card
from hemline.learn.export.input_config import InputConfig, check, of_config, read_input_config
from hemline.learn.export.writer import ExportOptions, check_target, write_bundle
from hemline.learn.model import Batch, RetrievalModel, ShopOutput, Stage, StreetOutput
from hemline.learn.models.siamese import FIRST, Siamese, SiameseConfig

#: The papers' baselines, which no library has or whose features are read at a certain layer.
_BASELINES = ("alexnet", "nin", "vgg19", "vgg_cnn_s")


@dataclass(frozen=True, slots=True)
class LoadedNetwork:
    """A network from images (B, 3, S, S) to vectors (B, D), and its preprocessing."""

    network: nn.Module
    preprocessing: Preprocessing
    versions: dict[str, str]


class Pretrained(RetrievalModel):
    """One pre-trained network for both domains.

    Raises:
        UsageError: a network whose output isn't a vector.
    """

    def __init__(self, loaded: LoadedNetwork) -> None:
        super().__init__()
        self.network = loaded.network
        self.preprocessing = loaded.preprocessing
        size = loaded.preprocessing.size
        with torch.inference_mode():
            out = self.network.eval()(torch.zeros(1, 3, size, size))
        if not isinstance(out, Tensor) or out.ndim != 2:
            raise UsageError("the model's output is no vector; name one with pooled features")
        self.embedding_dim = int(out.shape[1])

    def encode_street(self, images: Tensor) -> StreetOutput:
        return StreetOutput.of(self.network(images).float())

    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        return ShopOutput.of(self.network(images).float())

    def stages(self) -> tuple[Stage, ...]:
        return ()

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        raise TypeError("a pre-trained embedding has nothing to learn")


def load_source(
    source: str, weights: Path | None = None, inputs: InputConfig | None = None
) -> LoadedNetwork:
    """The network that a source names.

    Args:
        source: see the module.
        weights: a .safetensors or .pth file instead of the hub's.
        inputs: of ``weights``, in place of what the file and the source say.

    Raises:
        UsageError: an unknown source, a library that isn't installed, weights that can't be had, or
            weights of which nothing says how their images were prepared.
    """
    if inputs is not None and inputs != InputConfig() and (weights is None or source in _BASELINES):
        raise UsageError("--mean, --std and --padding are of --weights of timm or open_clip")
    inputs = inputs or InputConfig()
    library, colon, name = source.partition(":")
    if source in _BASELINES:
        return _baseline(source, weights)
    if library == "open_clip" and name:
        return _open_clip(name, weights, inputs)
    if library == "timm" and name:
        return _timm(name, weights, inputs)
    if library in ("hf-hub", "local-dir") and name:
        return _timm(source, weights, inputs)
    if library == "timm" or not colon:
        raise UsageError(
            f"{source!r} names no pre-trained model. {nearest(source, _BASELINES)} Or: timm:NAME, "
            "hf-hub:ORG/NAME, local-dir:FOLDER, open_clip:NAME/WEIGHTS"
        )
    raise UsageError(
        f"no library {library!r}. {nearest(library, ('timm', 'hf-hub', 'local-dir', 'open_clip'))}"
    )


def bundle_pretrained(
    source: str,
    bundle: Path,
    options: ExportOptions | None = None,
    *,
    weights: Path | None = None,
    inputs: InputConfig | None = None,
    detector: Path | None = None,
) -> BundleInfo:
    """Makes a bundle of a pre-trained embedding.

    Args:
        source, weights, inputs: see `load_source`.
        bundle: the new folder.
        options: how it is written; the bundle's name is the source's by default.
        detector: a bundle's folder, whose detector is copied.

    Raises:
        UsageError: see `load_source`, or the folder exists.
        BundleError: the bundle of ``detector`` has none, or is damaged.
        TrainingError: a graph that doesn't give torch's numbers.
    """
    options = options or ExportOptions()
    check_target(bundle, options)
    options.say(f"loading {source}")
    loaded = load_source(source, weights, inputs)
    model = Pretrained(loaded).eval()

    def describe(
        folder: Path, files: dict[str, str], loss: dict[str, float]
    ) -> tuple[BundleInfo, str]:
        info = BundleInfo(
            name=options.name or source.rstrip("/").split("/")[-1].split(":")[-1],
            summary=f"{source}, as it comes: one network for both domains, nothing trained here.",
            embedding_dim=model.embedding_dim,
            preprocessing=model.preprocessing,
            graphs=files,
            precision=options.precision,
            precision_loss=loss,
            training={
                "model": source,
                "weights": None if weights is None else weights.name,
                "versions": loaded.versions,
                "machine": {"system": platform.system(), "processor": platform.machine()},
            },
        )
        if detector is not None:
            info = take_detector(folder, info, detector)
        return info, fill_card("pretrained", info=info, source=source) + detector_card(info)

    return write_bundle(model, bundle, describe, options)


def _timm(name: str, weights: Path | None, inputs: InputConfig) -> LoadedNetwork:
    import timm
    from timm.data.config import resolve_model_data_config

    plain, _, tag = name.split(":")[-1].partition(".")
    if ":" not in name and plain not in timm.list_models():
        raise UsageError(f"timm has no model {name!r}. {nearest(plain, timm.list_models())}")
    try:
        network = timm.create_model(name, pretrained=weights is None, num_classes=0)
    except Exception as error:  # every hub has its own
        raise _unreachable(name, error) from None
    data: dict[str, Any] = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    if weights is not None:
        same = _padded_same(name)
        inputs |= read_input_config(weights, plain)
        if tag or ":" in name:  # the hub's configuration is that of these weights
            inputs |= of_config(data, complete=True)
        check(inputs, weights, f"timm:{name}", padded=same is not None)
        if inputs.padding == "same":
            if same is None:
                raise UsageError(f"the layers of {name} pad in one way; leave out --padding same")
            network = same
        load_weights(network, weights, classifier_prefixes(network))
        data |= {"mean": inputs.mean, "std": inputs.std}
    preprocessing = _preprocessing(
        int(data["input_size"][1]),
        data,
        squash=data.get("crop_mode") == "squash",
        crop_share=float(data.get("crop_pct") or 1.0),
    )
    return LoadedNetwork(network, preprocessing, _versions("timm", "torch"))


def _padded_same(name: str) -> Any:
    """The network of timm with TensorFlow's padding; None for one that has no such choice."""
    import timm

    try:
        return timm.create_model(name, pretrained=False, num_classes=0, pad_type="same")
    except TypeError:
        return None


def _open_clip(name: str, weights: Path | None, inputs: InputConfig) -> LoadedNetwork:
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
        inputs |= read_input_config(weights, model_name)
        if pretrained is not None:  # the tag's configuration
            inputs |= of_config(open_clip.get_pretrained_cfg(model_name, pretrained) or {})
        if model_name == name.partition("/")[0]:  # not a hub's folder, which has its own
            check(inputs, weights, f"open_clip:{model_name}", padded=False)
        pretrained = str(weights)
    try:
        model, _, _ = open_clip.create_model_and_transforms(model_name, pretrained=pretrained)
    except Exception as error:  # every hub has its own
        raise _unreachable(f"open_clip:{name}", error) from None
    data = dict(model.visual.preprocess_cfg)
    data |= {name: value for name in ("mean", "std") if (value := getattr(inputs, name))}
    size = data["size"]
    side = int(size if isinstance(size, int) else size[0])
    preprocessing = _preprocessing(side, data, squash=data.get("resize_mode") == "squash")
    return LoadedNetwork(model.visual, preprocessing, _versions("open_clip_torch", "torch"))


def _baseline(name: str, weights: Path | None) -> LoadedNetwork:
    """The papers' networks: the mean of the last maps (NIN, VGG-CNN-S), fc7 (AlexNet) or fc6
    (VGG-19)."""
    if name == "vgg19":
        return _vgg19(weights)
    if weights is None:
        raise UsageError(f"{name} has no weights of its own here; give them: --weights FILE")
    if name == "alexnet" and "conv1.weight" in read_weights(weights):
        network: nn.Module = caffe_alexnet()
        load_weights(network, weights)
        mean, std = MEAN, STD
    elif name == "alexnet":
        import torchvision

        whole = torchvision.models.alexnet()
        load_weights(whole, weights, ("classifier.6.",))
        head = nn.Sequential(*list(whole.classifier)[:-1])
        network = nn.Sequential(whole.features, whole.avgpool, nn.Flatten(), head)
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    else:
        backbone = build_backbone(BackboneConfig(name=name, weights=str(weights)), 224)
        network = nn.Sequential(
            backbone.shared, backbone.upper, nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        mean, std = normalisation_of(weights) or ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    data = {"mean": mean, "std": std, "interpolation": "bilinear"}
    preprocessing = _preprocessing(224, data, crop_share=0.875)
    return LoadedNetwork(network, preprocessing, _versions("torch"))


def _vgg19(weights: Path | None) -> LoadedNetwork:
    """VGG-19 up to fc6, the Siamese report's baseline (section 4.2): images are stretched to 224 px
    as there. Without ``weights`` timm's ImageNet weights."""
    if weights is not None and not any(f"{n}.weight" in read_weights(weights) for n in FIRST):
        raise UsageError(f"the weights {weights.name} have no first fully connected layer (fc6)")
    file = None if weights is None else str(weights)
    backbone = BackboneConfig(name="vgg19", weights=file, pretrained=weights is None)
    network = Siamese(SiameseConfig(backbone=backbone, size=224), ())
    mean, std = (None if weights is None else normalisation_of(weights)) or (MEAN, STD)
    data = {"mean": mean, "std": std, "interpolation": "bilinear"}
    vectors = nn.Sequential(network.features, nn.Flatten(), network.first)
    return LoadedNetwork(
        vectors, _preprocessing(224, data, squash=True), _versions("timm", "torch")
    )


def _preprocessing(
    side: int, data: Mapping[str, Any], squash: bool = False, crop_share: float = 1.0
) -> Preprocessing:
    """From a hub's data configuration. ``random`` interpolation is of training; bicubic is used."""
    interpolation = str(data.get("interpolation", "bicubic"))
    mean: Any = tuple(float(value) for value in data["mean"])
    std: Any = tuple(float(value) for value in data["std"])
    return Preprocessing(
        size=side,
        resize="stretch" if squash else "crop",
        crop_share=1.0 if squash else crop_share,
        interpolation=interpolation if interpolation == "bilinear" else "bicubic",
        street_mean=mean,
        street_std=std,
        shop_mean=mean,
        shop_std=std,
    )


def _unreachable(name: str, error: Exception) -> UsageError:
    line = " ".join(str(error).split())
    return UsageError(
        f"the weights of {name} can't be loaded: {line[:300]}. Without a network, download the "
        "model's folder elsewhere and name it: local-dir:FOLDER, or give --weights FILE"
    )


def _versions(*names: str) -> dict[str, str]:
    return {name: version(name) for name in names}
