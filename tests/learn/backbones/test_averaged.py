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
from torch import nn

import hemline
from hemline.errors import UsageError
from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.backbones.averaged import average_with_bundle

SHIPPED = Path(hemline.__file__).parent / "bundles" / "hemline-small"


def folded() -> dict[str, nn.Module]:
    """A MobileNetV2 whose norms hold a bias and otherwise do nothing, as a chain."""
    torch.manual_seed(0)
    model = timm.create_model("mobilenetv2_100", pad_type="same").eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(1 - module.eps)
    blocks = {f"blocks.{number}": block for number, block in enumerate(model.blocks)}
    return {"conv_stem": model.conv_stem, "bn1": model.bn1, **blocks}


def of_the_bundle(image: torch.Tensor, convolution: str) -> torch.Tensor:
    """What a convolution of the street tower gives, its folded norm included."""
    graph = onnx.load(str(SHIPPED / "street.onnx"))
    names = {name for node in graph.graph.node for name in node.input if convolution in name}
    made = {name: name for name in names}
    for node in graph.graph.node:  # stored halves are cast first
        if node.op_type == "Cast" and node.input[0] in names:
            made[node.output[0]] = node.input[0]
    (node,) = [n for n in graph.graph.node if n.op_type == "Conv" and made.keys() & set(n.input)]
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
    units = folded()
    chain = nn.Sequential(*units.values())
    size = json.loads((SHIPPED / "bundle.json").read_text("utf-8"))["preprocessing"]["size"]
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert average_with_bundle(units, "hemline-small", 1.0) == 51
    with torch.no_grad():
        mine = chain(image)
    theirs = of_the_bundle(image, "blocks_6.0.conv_pwl.weight")
    torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-2 * float(theirs.std()))


def test_a_share_lies_on_the_line_between_the_two() -> None:
    whole, half, none = folded(), folded(), folded()
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
        average_with_bundle(folded(), str(tmp_path), 0.5)
    plain = {"conv_stem": nn.Conv2d(3, 8, 3), "bn1": nn.BatchNorm2d(8)}
    with pytest.raises(UsageError, match="is of another network: conv_stem has the shape"):
        average_with_bundle(plain, "hemline-small", 0.5)
    with pytest.raises(UsageError, match="has no weights of this network"):
        average_with_bundle(
            {"stages.0": nn.Conv2d(3, 8, 3), "n": nn.BatchNorm2d(8)}, "hemline-small", 0.5
        )
    units = folded()
    units["bn1"].running_mean.fill_(1.0)  # type: ignore[operator, union-attr]
    with pytest.raises(UsageError, match="the norm after conv_stem isn't folded"):
        average_with_bundle(units, "hemline-small", 0.5)
    with pytest.raises(UsageError, match="are timm's"):
        build_backbone(BackboneConfig(name="nin", bundle="hemline-small"), 64)
