"""Networks of every form as one map of locations."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from hemline.errors import UsageError
from hemline.learn.backbones import BackboneConfig
from hemline.learn.backbones.timm_features import TimmFeatures


@pytest.mark.parametrize(
    ("name", "grid"),
    [("test_vit", (4, 4)), ("test_convnext", (2, 2)), ("test_efficientnet", (2, 2))],
)
def test_each_form_gives_a_map(name: str, grid: tuple[int, int]) -> None:
    torch.manual_seed(0)
    backbone = TimmFeatures(BackboneConfig(name=name), 64).eval()
    with torch.no_grad():
        maps = backbone(torch.randn(3, 3, 64, 64))
    assert maps.shape == (3, backbone.channels, *grid)
    assert backbone.grid == grid


def test_patches_lie_where_they_were_in_the_picture() -> None:
    torch.manual_seed(0)
    backbone = TimmFeatures(BackboneConfig(name="test_vit"), 64).eval()
    image = torch.zeros(1, 3, 64, 64)
    other = image.clone()
    other[..., 16:32, 48:64] = 3.0  # the patch of row 1, column 3
    with torch.no_grad():
        change = (backbone(other) - backbone(image)).square().sum(dim=1)[0]
    assert divmod(int(change.argmax()), 4) == (1, 3)


def test_weights_come_from_a_file(tmp_path: Path) -> None:
    model = timm.create_model("test_convnext")
    file = tmp_path / "weights.safetensors"
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, file)
    backbone = TimmFeatures(BackboneConfig(name="test_convnext", weights=str(file)), 64)
    own = backbone.network.state_dict()
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in own.items())


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(UsageError, match="test_vit"):
        TimmFeatures(BackboneConfig(name="test_vi"), 64)
    with pytest.raises(UsageError, match="cut"):
        TimmFeatures(BackboneConfig(name="test_convnext", cut="stages.1"), 64)


def test_weights_that_cannot_be_had_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to the hub")

    monkeypatch.setattr("timm.create_model", unreachable)
    with pytest.raises(UsageError, match="no route to the hub.*weights=FILE"):
        TimmFeatures(BackboneConfig(name="test_vit", pretrained=True), 64)
