"""Weights of Caffe's model zoo, in this package's layouts.

Reads a ``.caffemodel`` (protobuf; the fields of ``caffe.proto`` that hold weights, in the layout of
2014 and the later one) or an ``.npz`` of arrays ``LAYER/0`` (weights) and ``LAYER/1`` (biases).

Caffe's networks take BGR images of 0-255 less ImageNet's mean. What is written takes RGB images
normalised by `MEAN` and `STD`, and gives the same numbers: the first convolution's channels are
turned round and scaled, and its bias takes up the difference of the means (exact but for the border
of a padded convolution).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from torch import Tensor

from hemline.errors import UsageError, nearest
from hemline.types import FloatArray

#: Of R, G, B in [0, 1]: ImageNet's, which `hemline.data` calls the model's normalisation.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: What Caffe's networks subtract, of R, G, B in 0-255.
_CAFFE_MEAN = (122.67891434, 116.66876762, 104.00698793)

_NIN = (
    ("conv1", "cccp1", "cccp2"),
    ("conv2", "cccp3", "cccp4"),
    ("conv3", "cccp5", "cccp6"),
    ("conv4-1024", "cccp7-1024", "cccp8-1024"),
)
_VGG_19 = {1: (0, 2), 2: (5, 7), 3: (10, 12, 14, 16), 4: (19, 21, 23, 25), 5: (28, 30, 32, 34)}

#: Network → Caffe's layer → this package's, and the first convolution.
LAYERS: Mapping[str, Mapping[str, str]] = {
    "nin": {
        layer: f"block{block}.{2 * place}"
        for block, layers in enumerate(_NIN, 1)
        for place, layer in enumerate(layers)
    },
    "vgg_cnn_s": {f"conv{n}": f"conv{n}.0" for n in range(1, 6)},
    "vgg19": {
        f"conv{block}_{n}": f"features.{place}"
        for block, places in _VGG_19.items()
        for n, place in enumerate(places, 1)
    },
    "alexnet": {name: name for name in ("conv1", "conv2", "conv3", "conv4", "conv5")},
}
#: Fully connected layers, taken where the file has them.
CONNECTED: Mapping[str, Mapping[str, str]] = {
    "nin": {},
    "vgg_cnn_s": {},
    "vgg19": {"fc6": "pre_logits.fc1"},
    "alexnet": {"fc6": "fc6", "fc7": "fc7"},
}
#: Side of the map that VGG-19's first connected layer reads; timm has a convolution over it.
_VGG_SIDE = 7


def convert(path: Path, network: str) -> tuple[dict[str, Tensor], list[str]]:
    """The weights of a file for a network, and the layers of the file that aren't used.

    Raises:
        UsageError: no such network, an unreadable file, or layers that are missing.
    """
    if network not in LAYERS:
        raise UsageError(f"no network {network!r}. {nearest(network, LAYERS)}")
    blobs = read_npz(path) if path.suffix == ".npz" else read_caffemodel(path)
    names = dict(LAYERS[network])
    missing = [layer for layer in names if layer not in blobs]
    if missing:
        have = ", ".join(blobs) or "none"
        raise UsageError(
            f"{path.name} is of another network than {network}: it has no layer {missing[0]!r}; "
            f"its layers with weights are {have}"
        )
    names |= {layer: own for layer, own in CONNECTED[network].items() if layer in blobs}
    found: dict[str, Tensor] = {}
    for place, (layer, own) in enumerate(names.items()):
        weight, bias = blobs[layer]
        if place == 0:
            weight, bias = _for_rgb(layer, weight, bias)
        if layer.startswith("fc"):
            weight = weight.reshape(weight.shape[-2:])
            if network == "vgg19":
                weight = weight.reshape(len(weight), -1, _VGG_SIDE, _VGG_SIDE)
        found[f"{own}.weight"] = torch.from_numpy(np.ascontiguousarray(weight))
        found[f"{own}.bias"] = torch.from_numpy(np.ascontiguousarray(bias.reshape(-1)))
    return found, [layer for layer in blobs if layer not in names]


def _for_rgb(layer: str, weight: FloatArray, bias: FloatArray) -> tuple[FloatArray, FloatArray]:
    if weight.ndim != 4 or weight.shape[1] != 3:
        raise UsageError(f"the layer {layer} has weights of shape {weight.shape}, not (C, 3, K, K)")
    rgb = weight[:, ::-1]
    shift = 255 * np.asarray(MEAN) - np.asarray(_CAFFE_MEAN)
    moved = bias.reshape(-1) + (rgb.sum(axis=(2, 3)) * shift).sum(axis=1)
    scaled = rgb * (255 * np.asarray(STD))[None, :, None, None]
    return scaled.astype(np.float32), moved.astype(np.float32)


def read_npz(path: Path) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Layer → weights and biases, of arrays named ``LAYER/0`` and ``LAYER/1``.

    Raises:
        UsageError: it can't be read, or an array has another name.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name], np.float32) for name in stored.files}
    except Exception as error:  # readers raise anything
        raise UsageError(f"{path} can't be read: {error}") from None
    layers = {name.rpartition("/")[0] for name in arrays}
    for layer in layers:
        if not {f"{layer}/0", f"{layer}/1"} <= set(arrays):
            raise UsageError(f"{path}: arrays are named LAYER/0 and LAYER/1; {layer!r} lacks one")
    return {layer: (arrays[f"{layer}/0"], arrays[f"{layer}/1"]) for layer in sorted(layers)}


def read_caffemodel(path: Path) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Layer → weights and biases of a ``.caffemodel``, of layers that have both.

    Raises:
        UsageError: it is missing or no such file.
    """
    message = _net()()
    try:
        message.ParseFromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise UsageError(f"{path} can't be read as a .caffemodel: {error}") from None
    layers = [*message.layer, *message.layers]
    found = {one.name: one.blobs for one in layers if len(one.blobs) == 2}
    if not found:
        raise UsageError(f"{path} has no layer with weights and biases")
    return {name: (_array(path, both[0]), _array(path, both[1])) for name, both in found.items()}


def _array(path: Path, blob: Any) -> FloatArray:
    shape = tuple(blob.shape.dim) or (blob.num, blob.channels, blob.height, blob.width)
    values = np.asarray(blob.data or blob.double_data, np.float32)
    if values.size != int(np.prod(shape)):
        raise UsageError(f"{path} is damaged: {values.size} weights of the shape {shape}")
    return values.reshape(shape)


def _net() -> Any:
    """The message of ``caffe.proto``'s ``NetParameter``, reduced to names and weights."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="hemline_caffe.proto", package="hemline_caffe", syntax="proto2"
    )
    for name, members in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for member, (number, kind, label) in members.items():
            added = message.field.add(name=member, number=number)
            added.label = field.LABEL_REPEATED if label else field.LABEL_OPTIONAL
            if kind in _MESSAGES:
                added.type, added.type_name = field.TYPE_MESSAGE, f".hemline_caffe.{kind}"
            else:
                added.type = getattr(field, f"TYPE_{kind}")
                added.options.packed = bool(label) and kind != "STRING"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("hemline_caffe.Net"))


#: Message → field → (number, type, whether it is repeated), of caffe.proto.
_MESSAGES: Mapping[str, Mapping[str, tuple[int, str, bool]]] = {
    "Shape": {"dim": (1, "INT64", True)},
    "Blob": {
        "num": (1, "INT32", False),
        "channels": (2, "INT32", False),
        "height": (3, "INT32", False),
        "width": (4, "INT32", False),
        "data": (5, "FLOAT", True),
        "shape": (7, "Shape", False),
        "double_data": (8, "DOUBLE", True),
    },
    "OldLayer": {"name": (4, "STRING", False), "blobs": (6, "Blob", True)},
    "Layer": {"name": (1, "STRING", False), "blobs": (7, "Blob", True)},
    "Net": {"layers": (2, "OldLayer", True), "layer": (100, "Layer", True)},
}
