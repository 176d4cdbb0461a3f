"""Bundles of pre-trained embeddings, from checkpoints laid out as the hubs lay them out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image as Pillow
from safetensors.torch import save_file
from torch import nn

from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector
from hemline.bundle import read_info, verify
from hemline.catalog.catalog import Catalog
from hemline.cli import main
from hemline.data.manifest import Manifest
from hemline.errors import UsageError
from hemline.learn.backbones.nin import nin_units
from hemline.learn.export.input_config import InputConfig
from hemline.learn.export.pretrained import Pretrained, bundle_pretrained, load_source
from hemline.learn.export.writer import ExportOptions
from hemline.runtime.bundle import Bundle
from hemline.runtime.detector import BundleDetector
from hemline.runtime.encoder import BundleEncoder
from hemline.types import Image, Record

#: A folder of the hub's cache: refs/main names the snapshot.
SNAPSHOT = "0123456789abcdef0123456789abcdef01234567"


def picture(height: int = 150, width: int = 100) -> Image:
    draw = np.random.default_rng(1)
    rough = draw.integers(0, 256, (height // 10, width // 10, 3), dtype=np.uint8)
    return np.asarray(np.kron(rough, np.ones((10, 10, 1), np.uint8)), np.uint8)


def timm_folder(folder: Path, name: str = "test_vit") -> nn.Module:
    """A random timm model as ``timm.models.push_to_hf_hub`` writes it."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=7)
    folder.mkdir(parents=True)
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors"
    )
    config = {
        "architecture": name,
        "num_classes": 7,
        "num_features": model.num_features,
        "pretrained_cfg": {
            "input_size": [3, 160, 160],
            "interpolation": "bicubic",
            "crop_pct": 0.9,
            "crop_mode": "center",
            "mean": [0.5, 0.4, 0.3],
            "std": [0.2, 0.25, 0.3],
            "num_classes": 7,
            "first_conv": model.default_cfg["first_conv"],
            "classifier": model.default_cfg["classifier"],
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    return model.eval()


def clip_folder(folder: Path) -> nn.Module:
    """A random open_clip model as ``open_clip.push_to_hf_hub`` writes it."""
    import open_clip

    model_cfg = {
        "embed_dim": 24,
        "vision_cfg": {
            "image_size": 64,
            "layers": 2,
            "width": 64,
            "patch_size": 16,
            "head_width": 32,
        },
        "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1},
    }
    torch.manual_seed(0)
    model = open_clip.CLIP(**model_cfg)
    folder.mkdir(parents=True)
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    preprocess = {
        "mean": [0.48, 0.45, 0.4],
        "std": [0.26, 0.26, 0.27],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return model.eval()


def cached(home: Path, repository: str, fill: Callable[[Path], nn.Module]) -> nn.Module:
    """The same in the hub's cache, as a download leaves it."""
    place = home / "hub" / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(SNAPSHOT)
    return fill(place / "snapshots" / SNAPSHOT)


def through_pillow(
    image: Image, size: int, share: float, mean: list[float], std: list[float]
) -> torch.Tensor:
    """The hub's own preprocessing: shorter side, middle, bicubic, in Pillow."""
    short = int(size / share)
    height, width = image.shape[:2]
    scale = short / min(height, width)
    wide, high = int(width * scale), int(height * scale)
    resized = Pillow.fromarray(image).resize((wide, high), Pillow.Resampling.BICUBIC)
    left, top = round((wide - size) / 2), round((high - size) / 2)
    pixels = np.asarray(resized.crop((left, top, left + size, top + size)), np.float32) / 255
    return torch.from_numpy((pixels - mean) / std).permute(2, 0, 1).float().unsqueeze(0)


def test_a_timm_model_is_served_with_its_own_preprocessing(tmp_path: Path) -> None:
    model = timm_folder(tmp_path / "hub")
    info = bundle_pretrained(f"local-dir:{tmp_path / 'hub'}", tmp_path / "bundle")
    how = info.preprocessing
    assert (how.size, how.resize, how.crop_share, how.interpolation) == (
        160,
        "crop",
        0.9,
        "bicubic",
    )
    assert how.shop_mean == (0.5, 0.4, 0.3)
    bundle = Bundle.open(tmp_path / "bundle")
    encoder = BundleEncoder(bundle, 1)
    found = encoder.encode_street([picture()]).embedding[0]
    with torch.inference_mode():
        images = through_pillow(picture(), 160, 0.9, [0.5, 0.4, 0.3], [0.2, 0.25, 0.3])
        wanted = model.forward_head(model.forward_features(images), pre_logits=True)[0].numpy()
    cosine = float(found @ wanted) / float(np.linalg.norm(wanted))
    assert cosine > 0.9999
    shop = encoder.encode_shop([picture()], [()])
    np.testing.assert_allclose(shop.embedding[0], found, atol=1e-6)
    Pillow.fromarray(picture()).save(tmp_path / "shop.png")
    manifest = Manifest.from_records([Record("one", "shop.png", "item", "shop")], tmp_path)
    with Catalog.in_memory(bundle) as catalog:  # the catalogue sees it in the same way
        catalog.add(manifest)
        (row,) = catalog.store.rows()
    np.testing.assert_allclose(row.embedding, found, atol=1e-3)  # kept as float16
    assert float(shop.norm[0]) == pytest.approx(float(np.linalg.norm(wanted)), rel=1e-2)


def test_an_open_clip_model_gives_its_picture_vector(tmp_path: Path) -> None:
    model = clip_folder(tmp_path / "hub")
    source = f"open_clip:local-dir:{tmp_path / 'hub'}"
    info = bundle_pretrained(source, tmp_path / "bundle", ExportOptions(name="little-clip"))
    assert (info.name, info.embedding_dim, info.preprocessing.size) == ("little-clip", 24, 64)
    assert info.preprocessing.resize == "crop"
    encoder = BundleEncoder(Bundle.open(tmp_path / "bundle"), 1)
    found = encoder.encode_street([picture()]).embedding[0]
    with torch.inference_mode():
        images = through_pillow(picture(), 64, 1.0, [0.48, 0.45, 0.4], [0.26, 0.26, 0.27])
        wanted = model.encode_image(images)[0].numpy()
    assert float(found @ wanted) / float(np.linalg.norm(wanted)) > 0.9999


def test_the_hubs_cache_is_enough(tmp_path: Path) -> None:
    """As a user has it: downloaded once, then without a network; both libraries."""
    cached(tmp_path / "home", "somebody/little-vit", timm_folder)
    cached(tmp_path / "home", "somebody/little-clip", clip_folder)
    env = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    for source, dim in (
        ("hf-hub:somebody/little-vit", 64),
        ("open_clip:hf-hub:somebody/little-clip", 24),
    ):
        folder = tmp_path / source.split("/")[-1]
        command = [sys.executable, "-m", "hemline", "bundle", source, "-o", str(folder), "--json"]
        ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        result = json.loads(ran.stdout)
        assert (result["embedding_dim"], result["name"]) == (dim, source.split("/")[-1])
        verify(folder, read_info(folder))


def test_weights_that_cannot_be_had_say_what_to_do(tmp_path: Path) -> None:
    env = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "hemline", "bundle", "hf-hub:nobody/nothing", "-o"]
    ran = subprocess.run(
        [*command, str(tmp_path / "b")], env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "local-dir:FOLDER" in ran.stderr
    assert not (tmp_path / "b").exists()


def input_values(inputs: InputConfig) -> tuple[object, object]:
    return inputs.mean, inputs.std


def efficientnet(folder: Path, **metadata: str) -> Path:
    """Weights of a timm network in a file of their own."""
    folder.mkdir(exist_ok=True)
    state = timm.create_model("test_efficientnet").state_dict()
    file = folder / "weights.safetensors"
    save_file({k: v.contiguous() for k, v in state.items()}, file, metadata or None)
    return file


def test_weights_that_say_nothing_of_their_images_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = efficientnet(tmp_path / "bare")
    words = ["bundle", "timm:test_efficientnet", "--weights", str(file), "-o", str(tmp_path / "b")]
    assert main(words) == 2
    assert "give --mean, --std, --padding" in capsys.readouterr().err
    half = ["--mean", "0.5,0.5,0.5", "--padding", "same"]
    assert main([*words, *half]) == 2
    assert "give --std" in capsys.readouterr().err
    assert main([*words, *half, "--std", "0.5,0.5"]) == 2
    assert main([*words, *half, "--std", "0.5,0.5,0.5"]) == 0
    assert read_info(tmp_path / "b").preprocessing.shop_mean == (0.5, 0.5, 0.5)
    with pytest.raises(UsageError, match="give --mean, --std"):
        load_source("open_clip:ViT-B-32", file)
    with pytest.raises(UsageError, match="are of --weights"):
        load_source("timm:test_efficientnet", None, InputConfig(padding="same"))


def test_what_a_file_says_of_its_images_is_read(tmp_path: Path) -> None:
    config = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    wanted = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    images = torch.randn(1, 3, 160, 160)

    def loaded(file: Path, source: str = "timm:test_efficientnet") -> tuple[object, torch.Tensor]:
        found = load_source(source, file)
        how = found.preprocessing
        with torch.inference_mode():
            return (how.shop_mean, how.shop_std), found.network.eval()(images)

    torch.manual_seed(0)
    words = {name: json.dumps(value) for name, value in config.items()}
    file = efficientnet(tmp_path / "header", **words, pad_type="same")
    inputs, same = loaded(file)
    assert inputs == wanted
    torch.manual_seed(0)
    inputs, symmetric = loaded(efficientnet(tmp_path / "config", pretrained_cfg=json.dumps(config)))
    assert inputs == wanted
    assert not torch.equal(same, symmetric)  # the same weights, padded otherwise
    torch.manual_seed(0)
    file = efficientnet(tmp_path / "beside")
    hub = {"architecture": "test_efficientnet", "pretrained_cfg": config}
    file.with_name("config.json").write_text(json.dumps(hub))
    inputs, again = loaded(file)
    assert inputs == wanted
    assert torch.equal(again, symmetric)
    file.with_name("config.json").write_text(json.dumps(hub | {"architecture": "resnet18"}))
    with pytest.raises(UsageError, match="doesn't say"):
        loaded(file)
    inputs, _ = loaded(file, "timm:test_efficientnet.r160_in1k")  # a tag of timm's own
    assert inputs == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_the_detector_of_another_bundle_is_taken(tmp_path: Path) -> None:
    timm_folder(tmp_path / "hub")
    other = make_tiny_bundle(tmp_path / "other")
    words = ["bundle", f"local-dir:{tmp_path / 'hub'}", "--detector", str(other), "-o"]
    assert main([*words, str(tmp_path / "none")]) == 1
    put_tiny_detector(other)
    assert main([*words, str(tmp_path / "bundle")]) == 0
    made, given = Bundle.open(tmp_path / "bundle"), Bundle.open(other)
    assert made.info.detector == given.info.detector
    assert "## Detector" in (tmp_path / "bundle/README.md").read_text(encoding="utf-8")
    red = np.full((64, 64, 3), (255, 0, 0), np.uint8)
    found = [BundleDetector(bundle, 1).detect([red]) for bundle in (made, given)]
    assert found[0] == found[1]
    assert found[0][0]


def test_weights_from_a_file(tmp_path: Path) -> None:
    model = timm.create_model("test_efficientnet")
    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    save_file(state, tmp_path / "weights.safetensors")
    inputs = InputConfig((0.5, 0.4, 0.3), (0.2, 0.2, 0.3), "symmetric")
    found = load_source("timm:test_efficientnet", tmp_path / "weights.safetensors", inputs)
    assert (found.preprocessing.shop_mean, found.preprocessing.street_std) == input_values(inputs)
    own = dict(found.network.state_dict())
    assert all(torch.equal(own[key], state[key]) for key in own)


def test_the_papers_baselines_average_their_last_maps(tmp_path: Path) -> None:
    torch.manual_seed(0)
    units = nn.ModuleDict(dict(nin_units()))
    save_file(units.state_dict(), tmp_path / "nin.safetensors")
    model = Pretrained(load_source("nin", tmp_path / "nin.safetensors")).eval()
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        maps = images
        for unit in units.eval().values():
            maps = unit(maps)
        wanted = maps.mean(dim=(2, 3))
        found = model.encode_shop(images, torch.zeros(1, 0))
    assert model.embedding_dim == 1000
    torch.testing.assert_close(found.embedding * found.norm[:, None], wanted)
    with pytest.raises(UsageError, match="--weights"):
        load_source("alexnet")


@pytest.mark.parametrize(
    ("source", "inputs"),
    [
        ("timm:resnet5", "resnet50"),
        ("tim:resnet50", "timm"),
        ("resnet50", "timm:NAME"),
        ("open_clip:ViT-B-33/openai", "ViT-B-32"),
        ("open_clip:ViT-B-32", "weights"),
        ("timm:", "timm:NAME"),
    ],
)
def test_a_wrong_source_is_told_the_right_one(source: str, inputs: str) -> None:
    with pytest.raises(UsageError, match=inputs):
        load_source(source)


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        bundle_pretrained("timm:test_vit", tmp_path / "there")
