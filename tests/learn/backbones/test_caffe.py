"""Caffe's weights, written byte by byte in both of its layouts, give Caffe's numbers."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hemline.cli import main
from hemline.errors import UsageError
from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.backbones.alexnet import caffe_alexnet
from hemline.learn.backbones.caffe import CONNECTED, LAYERS, MEAN, STD, convert
from hemline.learn.backbones.converted import convert_file, normalisation_of
from hemline.learn.backbones.timm_backbone import load_weights
from hemline.learn.export.pretrained import load_source
from hemline.learn.model import MODELS

Blobs = dict[str, tuple[np.ndarray, np.ndarray]]


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def part(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def blob(values: np.ndarray, old: bool) -> bytes:
    data = part(5, values.astype("<f4").tobytes())
    if old:  # num, channels, height, width
        shape = (1,) * (4 - values.ndim) + values.shape
        return b"".join(varint(n << 3) + varint(size) for n, size in enumerate(shape, 1)) + data
    return data + part(7, part(1, b"".join(varint(size) for size in values.shape)))


def caffemodel(path: Path, blobs: Blobs, old: bool) -> Path:
    """As Caffe writes it, with layers without weights and fields that we don't read."""
    whole = part(1, b"net")
    for name, both in blobs.items():
        body = part(4 if old else 1, name.encode())
        body += b"".join(part(6 if old else 7, blob(values, old)) for values in both)
        body += varint(1 << 3 if old else 13 << 3 | 5) + (b"\x01" if old else struct.pack("<f", 1))
        whole += part(2 if old else 100, body)
        whole += part(2 if old else 100, part(4 if old else 1, b"relu"))
    path.write_bytes(whole)
    return path


def layers(network: nn.Module, names: dict[str, str], seed: int = 0) -> Blobs:
    """Random weights of the shapes of a network's layers, under Caffe's names."""
    rng, state, found = np.random.default_rng(seed), network.state_dict(), {}
    for layer, own in names.items():
        shapes = state[f"{own}.weight"].shape, state[f"{own}.bias"].shape
        scale = 0.5 * np.prod(shapes[0][1:]) ** -0.5
        weight, bias = (rng.normal(size=shape) * scale for shape in shapes)
        found[layer] = (weight.astype(np.float32), bias.astype(np.float32))
    return found


def as_caffe_sees(images: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] → BGR of 0-255 less the mean."""
    bgr = images.flip(1) * 255
    return bgr - torch.tensor([104.00698793, 116.66876762, 122.67891434]).view(3, 1, 1)


def normalised(images: Tensor) -> Tensor:
    return (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


@pytest.mark.parametrize("name", ["nin", "vgg_cnn_s"])
@pytest.mark.parametrize("form", ["old", "new", "npz"])
def test_a_converted_backbone_computes_what_caffe_does(
    name: str, form: str, tmp_path: Path
) -> None:
    backbone = build_backbone(BackboneConfig(name=name), 96)
    units = nn.ModuleDict(
        {key.replace("_", "."): unit for chain in (backbone.shared, backbone.upper)
         for key, unit in chain.named_children()}
    ).eval()  # fmt: skip
    blobs = layers(units, dict(LAYERS[name]))
    if form == "npz":
        source = tmp_path / "net.npz"
        arrays = {f"{key}/{n}": both[n] for key, both in blobs.items() for n in (0, 1)}
        np.savez(source, **arrays)  # type: ignore[arg-type]
    else:
        source = caffemodel(tmp_path / "net.caffemodel", blobs, form == "old")
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    raw = {
        f"{LAYERS[name][key]}.{kind}": torch.from_numpy(both[n])
        for key, both in blobs.items()
        for n, kind in enumerate(("weight", "bias"))
    }
    units.load_state_dict(raw)
    wanted = nn.Sequential(*units.values())(as_caffe_sees(images))
    told = convert_file(source, name, tmp_path / "out.safetensors")
    assert (told["tensors"], told["unused"]) == (2 * len(blobs), [])
    given = BackboneConfig(name=name, weights=str(tmp_path / "out.safetensors"))
    ours = build_backbone(given, 96)
    found = ours.upper.eval()(ours.shared.eval()(normalised(images)))
    torch.testing.assert_close(
        found, wanted, rtol=1e-3, atol=1e-3 * float(wanted.detach().abs().max())
    )
    assert normalisation_of(tmp_path / "out.safetensors") == (MEAN, STD)
    if form == "npz":  # the plain network as a baseline: hemline bundle nin --weights FILE
        loaded = load_source(name, tmp_path / "out.safetensors")
        assert (loaded.preprocessing.size, loaded.preprocessing.street_mean) == (224, MEAN)
        with torch.inference_mode():
            assert loaded.network.eval()(torch.rand(1, 3, 224, 224)).shape == (1, found.shape[1])


def test_vgg_19_loads_into_timms_with_its_first_connected_layer(tmp_path: Path) -> None:
    import timm

    with torch.device("meta"):
        network = timm.create_model("vgg19")
    shapes = network.state_dict()
    names = {**LAYERS["vgg19"], **CONNECTED["vgg19"]}
    tensors = {}
    for layer, own in names.items():
        shape = shapes[f"{own}.weight"].shape
        if layer == "fc6":  # 411 MB in full
            shape = (2, 512, 7, 7)
        tensors[layer] = (np.full(shape, 0.01, np.float32), np.zeros(shape[0], np.float32))
    flat = tensors["fc6"][0].reshape(2, -1)
    source = caffemodel(
        tmp_path / "vgg.caffemodel", {**tensors, "fc6": (flat, tensors["fc6"][1])}, True
    )
    found, unused = convert(source, "vgg19")
    assert unused == []
    for layer, own in LAYERS["vgg19"].items():
        assert found[f"{own}.weight"].shape == shapes[f"{own}.weight"].shape, layer
    assert found["pre_logits.fc1.weight"].shape == (2, 512, 7, 7)


def test_vgg_19_is_a_baseline_up_to_its_first_connected_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    from hemline.learn.export import pretrained

    class Small(pretrained.SiameseConfig):  # fc6 in full has 411 MB
        first: int = 3

    monkeypatch.setattr(pretrained, "SiameseConfig", Small)
    import timm

    with torch.device("meta"):
        shapes = timm.create_model("vgg19").state_dict()
    drawn = torch.Generator().manual_seed(0)
    state = {
        name: torch.randn(value.shape, generator=drawn) * 0.02
        for name, value in shapes.items()
        if name.startswith("features")
    }
    state["pre_logits.fc1.weight"] = torch.randn(3, 512, 7, 7, generator=drawn)
    state["pre_logits.fc1.bias"] = torch.randn(3, generator=drawn)
    file = tmp_path / "vgg19.safetensors"
    save_file(state, file)
    loaded = load_source("vgg19", file)
    assert (loaded.preprocessing.size, loaded.preprocessing.resize) == (224, "stretch")
    assert loaded.preprocessing.street_mean == MEAN
    image = torch.rand(1, 3, 224, 224, generator=drawn)
    with torch.inference_mode():
        out = loaded.network.eval()(image)
        maps = loaded.network.eval()[0](image)
        assert maps.shape == (1, 512, 7, 7)
        wanted = functional.conv2d(
            maps, state["pre_logits.fc1.weight"], state["pre_logits.fc1.bias"]
        ).flatten(1)
    torch.testing.assert_close(out, wanted, rtol=1e-3, atol=1e-3)
    del state["pre_logits.fc1.weight"]
    save_file(state, file)
    with pytest.raises(UsageError, match="no first fully connected layer"):
        load_source("vgg19", file)


def test_alexnet_is_caffes_with_groups(tmp_path: Path) -> None:
    network = caffe_alexnet()
    assert network.conv2.weight.shape == (256, 48, 5, 5)
    names = {**LAYERS["alexnet"], **CONNECTED["alexnet"]}
    found, unused = convert(
        caffemodel(tmp_path / "net.caffemodel", {**layers(network, names), "fc8": _fc8()}, False),
        "alexnet",
    )
    assert unused == ["fc8"]
    from safetensors.torch import save_file

    save_file(found, tmp_path / "alexnet.safetensors")
    load_weights(network, tmp_path / "alexnet.safetensors")
    loaded = load_source("alexnet", tmp_path / "alexnet.safetensors")
    assert loaded.preprocessing.street_mean == MEAN
    image = torch.rand(1, 3, 224, 224)
    out = loaded.network.eval()(image)
    assert out.shape == (1, 4096)
    torch.testing.assert_close(out, network.eval()(image))
    assert float(functional.normalize(out).norm()) == pytest.approx(1.0)


def _fc8() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((3, 4096), np.float32), np.zeros(3, np.float32)


def test_darn_takes_what_it_has_in_common_with_nin(tmp_path: Path) -> None:
    backbone = build_backbone(BackboneConfig(name="nin"), 96)
    units = nn.ModuleDict(
        {**dict(backbone.shared.named_children()), **dict(backbone.upper.named_children())}
    )
    blobs = layers(units, dict(LAYERS["nin"]))
    file = tmp_path / "nin.safetensors"
    convert_file(caffemodel(tmp_path / "n.caffemodel", blobs, True), "nin", file)
    spec = MODELS["darn"]
    values = {"size": 96, "fc1": 8, "fc2": 8, "branch": 4, "dimensions": 8, "weights": str(file)}
    model = spec.build(spec.configure(values), ("a=b", "a=c"))
    state = model.state_dict()
    np.testing.assert_array_equal(state["networks.street.lower.2.2.weight"], blobs["cccp5"][0])
    with pytest.raises(UsageError, match="DARN's own widths"):
        spec.build(spec.configure({**spec.tiny, "weights": str(file)}), ("a=b", "a=c"))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xff\xff", "can't be read"), (b"", "no layer"), (None, "can't be read")],
)
def test_a_file_that_is_none_is_refused(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.caffemodel"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        convert(path, "nin")
    with pytest.raises(UsageError, match="Did you mean 'vgg19'"):
        convert(path, "vgg-19")


def test_the_command_names_what_it_wrote_and_another_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = {"conv1": (np.zeros((96, 3, 7, 7), np.float32), np.zeros(96, np.float32))}
    source = str(caffemodel(tmp_path / "n.caffemodel", one, False))
    target = ["-o", str(tmp_path / "n.safetensors")]
    assert main(["weights", "convert", source, "--network", "vgg_cnn_s", *target]) == 2
    assert "it has no layer 'conv2'" in capsys.readouterr().err
    rest = {
        f"conv{n}": (np.zeros((o, i, k, k), np.float32), np.zeros(o, np.float32))
        for n, o, i, k in ((2, 256, 96, 5), (3, 512, 256, 3), (4, 512, 512, 3), (5, 512, 512, 3))
    }
    caffemodel(tmp_path / "n.caffemodel", {**one, **rest}, False)
    words = ["weights", "convert", source, "--network", "vgg_cnn_s", *target, "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["tensors"] == 10
