"""The published shapes and sizes, and cuts that change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from hemline.errors import UsageError
from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.backbones.base import cut_units
from hemline.learn.backbones.nin import nin_units
from hemline.learn.backbones.vgg_cnn_s import vgg_cnn_s_units


def count(units: object) -> int:
    return sum(p.numel() for _, unit in units for p in unit.parameters())  # type: ignore[attr-defined]


def test_nin_is_the_public_imagenet_network() -> None:
    units = nin_units()
    assert count(units) == 7_595_176  # the public network's 7.6 million
    backbone = cut_units("nin", units, "block3", None, 224)
    assert (backbone.channels, backbone.grid) == (1000, (6, 6))
    assert [type(m).__name__ for m in backbone.shared[-1][-2:]] == ["MaxPool2d", "Dropout"]


def test_nins_maps_shrink_as_caffe_rounds() -> None:
    sides, picture = [], torch.zeros(1, 3, 224, 224)
    for _, block in nin_units():
        picture = block.eval()(picture)
        sides.append(picture.shape[-1])
    assert sides == [27, 13, 6, 6]


def test_vgg_cnn_s_is_the_published_network_without_its_full_layers() -> None:
    units = vgg_cnn_s_units()
    published = (7 * 7 * 3 * 96 + 96) + (5 * 5 * 96 * 256 + 256) + (9 * 256 * 512 + 512)
    published += 2 * (9 * 512 * 512 + 512)
    assert count(units) == published
    backbone = cut_units("vgg_cnn_s", units, "conv4", None, 224)
    assert (backbone.channels, backbone.grid) == (512, (6, 6))
    assert backbone.grid[0] ** 2 * backbone.channels * 4096 + 4096 == 75_501_568  # fc6 fits on it
    earlier = cut_units("vgg_cnn_s", vgg_cnn_s_units(), "conv4", "conv5", 224)
    assert earlier.grid == (17, 17)


@pytest.mark.parametrize("name", ["nin", "vgg_cnn_s"])
def test_scratch_weights_keep_the_signal_alive(name: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(BackboneConfig(name=name), 96)
    picture = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        features = backbone.branch().eval()(backbone.shared.eval()(picture))
    assert 0.05 < float(features.std()) < 20


@pytest.mark.parametrize("name", ["mobilenetv2_050", "test_resnet", "test_convnext"])
def test_a_cut_timm_network_gives_what_timm_gives(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = timm.create_model(name).eval()
    save_file(whole.state_dict(), tmp_path / "whole.safetensors")
    weights = str(tmp_path / "whole.safetensors")
    backbone = build_backbone(BackboneConfig(name=name, weights=weights), 64)
    picture = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        ours = backbone.branch().eval()(backbone.shared.eval()(picture))
        assert torch.equal(ours, whole.forward_features(picture))
    assert ours.shape == (2, backbone.channels, *backbone.grid)


def test_each_branch_is_a_copy_with_weights_of_its_own() -> None:
    backbone = build_backbone(BackboneConfig(name="test_efficientnet"), 64)
    one, two = backbone.branch(), backbone.branch()
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(p, q)
        assert p.data_ptr() != q.data_ptr()


def test_cut_and_end_by_name() -> None:
    config = BackboneConfig(name="mobilenetv2_050", cut="blocks.2", end="blocks.4")
    backbone = build_backbone(config, 64)
    assert (backbone.channels, backbone.grid) == (48, (4, 4))
    assert [name for name, _ in backbone.upper.named_children()] == ["blocks_3", "blocks_4"]


def test_weights_of_another_head_load_but_of_another_network_do_not(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(timm.create_model("test_efficientnet", num_classes=7).state_dict(), path)
    build_backbone(BackboneConfig(name="test_efficientnet", weights=str(path)), 64)
    with pytest.raises(UsageError, match="another network"):
        build_backbone(BackboneConfig(name="test_resnet", weights=str(path)), 64)
    state = timm.create_model("test_efficientnet").state_dict()
    state["conv_stem.weight"] = state["conv_stem.weight"][:2]
    torch.save(state, path)
    with pytest.raises(UsageError, match=r"conv_stem\.weight of shape"):
        build_backbone(BackboneConfig(name="test_efficientnet", weights=str(path)), 64)


def test_weights_without_the_counters_of_batch_normalisation_load(tmp_path: Path) -> None:
    path = tmp_path / "converted.safetensors"
    state = timm.create_model("test_efficientnet", num_classes=1000).state_dict()
    save_file({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, path)
    backbone = build_backbone(BackboneConfig(name="test_efficientnet", weights=str(path)), 64)
    read = backbone.shared.state_dict()
    assert torch.equal(read["conv_stem.weight"], state["conv_stem.weight"])


def test_own_backbones_read_their_own_weights(tmp_path: Path) -> None:
    path = tmp_path / "nin.safetensors"
    saved = nn.ModuleDict(dict(nin_units())).state_dict()
    save_file(saved, path)
    backbone = build_backbone(BackboneConfig(name="nin", weights=str(path)), 96)
    torch.testing.assert_close(
        backbone.shared.state_dict()["block1.0.weight"], load_file(path)["block1.0.weight"]
    )


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"name": "mobilenetv2_10"}, "Did you mean 'mobilenetv2_1"),
        ({"name": "ninn"}, "nin"),
        ({"name": "test_vit"}, "chain"),
        ({"name": "test_efficientnet", "cut": "blocks.9"}, "blocks"),
        ({"name": "test_efficientnet", "cut": "bn2"}, "leaves nothing"),
        ({"name": "nin", "pretrained": True}, "timm"),
        ({"name": "test_resnet", "pad_type": "same"}, "can't build"),
        ({"name": "nin", "weights": "nowhere.safetensors"}, "nowhere"),
    ],
)
def test_what_is_wrong_is_said(values: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        build_backbone(BackboneConfig.model_validate(values), 160)


def test_a_file_that_is_no_weights_is_refused(tmp_path: Path) -> None:
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(b"not weights")
        with pytest.raises(UsageError, match="can't be read"):
            build_backbone(BackboneConfig(name="nin", weights=str(tmp_path / name)), 96)


def test_a_picture_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match="8 px"):
        build_backbone(BackboneConfig(name="nin"), 8)


def test_a_bare_name_is_a_backbone() -> None:
    assert BackboneConfig.model_validate("vgg_cnn_s").name == "vgg_cnn_s"
    with pytest.raises(ValidationError):
        BackboneConfig.model_validate({"nam": "nin"})


def test_taps_join_layers_on_the_last_ones_grid() -> None:
    config = BackboneConfig(
        name="test_efficientnet", cut="blocks.0", taps=("blocks.0", "blocks.2", "blocks.1")
    )
    backbone = build_backbone(config, 64)
    backbone.shared.eval()
    backbone.upper.eval()
    plain = build_backbone(BackboneConfig(name="test_efficientnet", cut="blocks.0"), 64)
    assert len(backbone.blocks) == 3
    assert backbone.channels == sum(backbone.blocks)
    assert plain.blocks == (plain.channels,)
    with torch.no_grad():
        low = backbone.shared(torch.rand(2, 3, 64, 64))
        joined = backbone.upper(low)
        layers = backbone.upper.layers(low)
    assert joined.shape == (2, backbone.channels, *backbone.grid)
    side = low.shape[2] // backbone.grid[0]
    averaged = low.unflatten(2, (-1, side)).unflatten(4, (-1, side)).mean(dim=(3, 5))
    torch.testing.assert_close(joined[:, : backbone.blocks[0]], averaged)
    torch.testing.assert_close(torch.cat(layers, dim=1), joined)


def test_a_tap_below_the_cut_is_refused() -> None:
    config = BackboneConfig(name="test_efficientnet", cut="blocks.1", taps=("blocks.0",))
    with pytest.raises(UsageError, match=r"no stage 'blocks.0' to tap"):
        build_backbone(config, 64)


def test_output_stride_keeps_the_last_features_fine() -> None:
    names = {"name": "mobilenetv2_050"}
    assert build_backbone(BackboneConfig(**names), 64).grid == (2, 2)
    assert build_backbone(BackboneConfig(**names, output_stride=16), 64).grid == (4, 4)
    with pytest.raises(UsageError, match="are timm's"):
        build_backbone(BackboneConfig(name="nin", output_stride=16), 224)
