"""A network's weights averaged with the bundle's: at a share of 1 they are the bundle's."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from onnx import helper
from onnx.numpy_helper import from_array
from torch import nn

import hemline
from hemline.errors import UsageError
from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.backbones.averaged import _convolutions, average_with_bundle
from hemline.learn.export.weights import shrink
from hemline.learn.models.ynet import YNetConfig

SHIPPED = Path(hemline.__file__).parent / "bundles" / "hemline-small"


def network() -> dict[str, nn.Module]:
    """The network of the bundle that ships, with norms that scale and shift, as a chain."""
    torch.manual_seed(0)
    model = timm.create_model("tf_efficientnet_lite2").eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name, values in module.state_dict().items():  # which shares the norm's memory
                if name != "num_batches_tracked":
                    about = 1.0 if name in ("weight", "running_var") else 0.0
                    values.uniform_(about - 0.1, about + 0.1)
    blocks = {
        f"blocks.{number}": block
        for number, block in model.get_submodule("blocks").named_children()
    }
    return {**{name: model.get_submodule(name) for name in ("conv_stem", "bn1")}, **blocks}


def of_the_bundle(image: torch.Tensor, convolution: str) -> torch.Tensor:
    """What a convolution of the street tower gives, its folded norm included."""
    graph = onnx.load(str(SHIPPED / "street.onnx"))
    made = {one.name for one in graph.graph.initializer if one.name.startswith(convolution)}
    for node in graph.graph.node:  # stored halves are cast first, levels scaled
        if node.op_type in ("Cast", "Mul", "DequantizeLinear") and node.input[0] in made:
            made.add(node.output[0])
    (node,) = [n for n in graph.graph.node if n.op_type == "Conv" and n.input[1] in made]
    graph.graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
    with tempfile.TemporaryDirectory() as folder:
        for file in SHIPPED.iterdir():
            shutil.copy(file, folder)
        file = Path(folder) / "street.onnx"
        onnx.save(graph, str(file))
        session = onnxruntime.InferenceSession(str(file))
        found = session.run([node.output[0]], {session.get_inputs()[0].name: image.numpy()})[0]
    return torch.from_numpy(np.asarray(found))


def test_the_whole_share_gives_what_the_bundle_gives() -> None:
    units = network()
    chain = nn.Sequential(*units.values())
    size = json.loads((SHIPPED / "bundle.json").read_text("utf-8"))["preprocessing"]["size"]
    smooth = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(1)) * 2 - 1
    image = nn.functional.interpolate(smooth, size, mode="bilinear")
    convolutions = sum(isinstance(m, nn.Conv2d) for m in chain.modules())
    assert average_with_bundle(units, str(SHIPPED), 1.0) == convolutions
    with torch.no_grad():
        mine = chain(image)
    theirs = of_the_bundle(image, "model.trunk.1.units.blocks_6.0.conv_pwl.weight")
    likeness = torch.corrcoef(torch.stack([mine.flatten(), theirs.flatten()]))[0, 1]
    assert likeness > 0.95  # the bundle's activations have 8 bits


def test_folding_norms_changes_nothing() -> None:
    units = network()
    chain = nn.Sequential(*units.values())
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        before = chain(image)
        average_with_bundle(units, str(SHIPPED), 0.0)
        torch.testing.assert_close(chain(image), before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_weights_are_read_in_any_stored_precision(precision: str, tmp_path: Path) -> None:
    weight = torch.randn(40, 30, 3, 3, generator=torch.Generator().manual_seed(0)).numpy()
    bias = np.linspace(-1, 1, 40, dtype=np.float32)
    name = "model.trunk.0.conv_stem"
    graph = helper.make_graph(
        [helper.make_node("Conv", ["images", f"{name}.weight", f"{name}.bias"], ["y"])],
        "g",
        [helper.make_tensor_value_info("images", 1, [1, 30, 8, 8])],
        [helper.make_tensor_value_info("y", 1, [1, 40, 6, 6])],
        [from_array(weight, f"{name}.weight"), from_array(bias, f"{name}.bias")],
    )
    for tower in ("street", "shop"):
        model = helper.make_model(graph)
        shrink(model, precision)
        onnx.save(model, str(tmp_path / f"{tower}.onnx"))
    convolution, norm = nn.Conv2d(30, 40, 3, bias=False), nn.BatchNorm2d(40)
    units = {"conv_stem": convolution, "bn1": norm}
    assert average_with_bundle(units, str(tmp_path), 1.0) == 1
    tolerance = {"float32": 0.0, "float16": 2e-3, "int8": 0.5 * 5 / 127}[precision]
    found = convolution.weight.detach().numpy()
    np.testing.assert_allclose(found, weight, rtol=0, atol=tolerance)
    np.testing.assert_allclose(norm.bias.detach().numpy(), bias, rtol=0, atol=1e-7)


def test_only_a_norm_that_directly_follows_belongs_to_a_convolution() -> None:
    """Failed before: a squeeze-excite's convolutions were folded with a norm further on."""
    block = timm.create_model("test_efficientnet").get_submodule("blocks.3")
    found = dict(_convolutions("blocks.3", block, {"blocks.3": block}))
    assert (
        {name for name, norm in found.items() if norm is None}
        == {name for name in found if ".se." in name}
        != set()
    )


def test_a_share_lies_on_the_line_between_the_two() -> None:
    whole, half, none = network(), network(), network()
    average_with_bundle(whole, str(SHIPPED), 1.0)
    average_with_bundle(half, str(SHIPPED), 0.5)
    average_with_bundle(none, str(SHIPPED), 0.0)
    states = [nn.ModuleDict({k.replace(".", "_"): v for k, v in u.items()}).state_dict()
              for u in (whole, half, none)]  # fmt: skip
    for name, value in states[1].items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (states[0][name] + states[2][name]) / 2)


def test_what_cannot_be_averaged(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no bundle: it has no street.onnx"):
        average_with_bundle(network(), str(tmp_path), 0.5)
    plain = {"conv_stem": nn.Conv2d(3, 8, 3), "bn1": nn.BatchNorm2d(8)}
    with pytest.raises(UsageError, match="is of another network: conv_stem has the shape"):
        average_with_bundle(plain, str(SHIPPED), 0.5)
    with pytest.raises(UsageError, match="has no weights of this network"):
        average_with_bundle(
            {"stages.0": nn.Conv2d(3, 8, 3), "n": nn.BatchNorm2d(8)}, str(SHIPPED), 0.5
        )
    with pytest.raises(UsageError, match="are timm's"):
        build_backbone(BackboneConfig(name="nin", bundle=str(SHIPPED)), 64)


def test_a_bundle_freezes_the_norms_that_are_folded() -> None:
    config = YNetConfig(backbone={"name": "tf_efficientnet_lite0", "bundle": "hemline-small"})  # type: ignore[arg-type]
    assert config.backbone.freeze_bn
    assert not YNetConfig(backbone={"name": "tf_efficientnet_lite0"}).backbone.freeze_bn  # type: ignore[arg-type]
    asked = BackboneConfig(name="tf_efficientnet_lite0", bundle="hemline-small", freeze_bn=False)
    assert asked.freeze_bn
