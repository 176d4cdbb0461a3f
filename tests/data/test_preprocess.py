from __future__ import annotations

import math

import numpy as np
import PIL.Image
import pytest
from pydantic import ValidationError

from hemline.data.preprocess import (
    PreparedImage,
    Preprocessing,
    normalise,
    prepare,
    resize_square,
    square,
)
from hemline.types import Image


def test_each_domain_has_its_own_mean_and_deviation() -> None:
    image = np.full((8, 8, 3), 255, np.uint8)
    image[..., 2] = 0
    spec = Preprocessing(size=8, street_mean=(0.5, 0.25, 0.0), street_std=(0.5, 0.25, 1.0))
    street = prepare(image, spec, "street")
    assert street.shape == (3, 8, 8)
    assert street.dtype == np.float32
    np.testing.assert_allclose(street[:, 0, 0], [1.0, 3.0, 0.0])
    np.testing.assert_allclose(prepare(image, spec, "shop")[:, 0, 0], [1.0, 1.0, -1.0])


def test_padding_keeps_proportions_and_stretching_does_not() -> None:
    image = np.full((40, 20, 3), 200, np.uint8)
    image[10:30, 5:15] = 10
    padded = resize_square(image, 40, "pad")
    assert padded.shape == (40, 40, 3)
    dark = padded[..., 0] < 100
    assert (dark.any(axis=0).sum(), dark.any(axis=1).sum()) == (10, 20)
    assert (padded[0, 0] == 200).all()
    dark = resize_square(image, 40, "stretch")[..., 0] < 100
    assert (dark.any(axis=0).sum(), dark.any(axis=1).sum()) == (20, 20)


def test_unknown_ways_are_refused() -> None:
    with pytest.raises(ValidationError):
        Preprocessing(resize="shrink")
    with pytest.raises(ValidationError):
        Preprocessing.model_validate({"side": 224})


def noise(height: int, width: int) -> Image:
    draw = np.random.default_rng(0)
    rough = draw.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    smooth = np.kron(rough, np.ones((8, 8, 1), np.uint8))[:height, :width]
    return np.asarray(smooth // 2 + draw.integers(0, 128, (height, width, 3)), np.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(300, 201), (60, 90), (64, 64)])
def test_interpolation_is_pillows(interpolation: str, height: int, width: int) -> None:
    image = noise(height, width)
    spec = Preprocessing(size=96, interpolation=interpolation)
    way = PIL.Image.Resampling[interpolation.upper()]
    wanted = np.asarray(PIL.Image.fromarray(image).resize((96, 96), way))
    assert np.array_equal(square(image, spec), wanted)


@pytest.mark.parametrize(("height", "width"), [(300, 201), (90, 260)])
def test_the_middle_is_what_torchvision_takes(height: int, width: int) -> None:
    image = noise(height, width)
    spec = Preprocessing(size=96, resize="crop", crop_share=0.875, interpolation="bicubic")
    short = math.floor(96 / 0.875)
    scale = short / min(height, width)
    size = (int(width * scale), int(height * scale))
    resized = PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.BICUBIC)
    left, top = round((size[0] - 96) / 2), round((size[1] - 96) / 2)
    wanted = np.asarray(resized.crop((left, top, left + 96, top + 96)), np.int16)
    found = square(image, spec)
    assert found.shape == (96, 96, 3)
    assert np.array_equal(found, wanted)


def test_a_prepared_image_is_only_normalised() -> None:
    spec = Preprocessing(size=64, resize="crop", crop_share=0.5, interpolation="bicubic")
    image = noise(200, 100)
    ahead = PreparedImage.of(image, spec)
    assert ahead.pixels.shape == (64, 64, 3)
    assert np.array_equal(prepare(ahead, spec, "street"), prepare(image, spec, "street"))
    assert np.array_equal(
        prepare(ahead, spec, "street"), normalise(square(image, spec), spec, "street")
    )
    with pytest.raises(ValueError, match="not for 32 pixels"):
        prepare(ahead, spec.model_copy(update={"size": 32}), "street")


def test_a_photo_of_exactly_the_target_size_is_resized_and_cropped() -> None:
    """Its middle is taken, as of a photo of any other size."""
    spec = Preprocessing(size=224, resize="crop", crop_share=0.875, interpolation="bicubic")
    photo = noise(224, 224)
    whole = PIL.Image.fromarray(photo).resize((256, 256), PIL.Image.Resampling.BICUBIC)
    middle = np.asarray(whole.crop((16, 16, 240, 240)), np.int16)
    found = square(photo, spec)
    assert not np.array_equal(found, photo)
    assert np.array_equal(found, middle)
    assert np.array_equal(prepare(photo, spec, "shop"), normalise(found, spec, "shop"))


def test_what_came_later_leaves_old_fingerprints() -> None:
    """The description of an old way has no word that old bundles didn't have."""
    plain = Preprocessing().described()
    assert set(plain) == {
        "size",
        "resize",
        "street_mean",
        "street_std",
        "shop_mean",
        "shop_std",
    }
    assert Preprocessing(interpolation="bicubic").described()["interpolation"] == "bicubic"
