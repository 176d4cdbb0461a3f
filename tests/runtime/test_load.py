"""`load`: files, bytes and arrays in; embeddings and detections out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.tiny_bundle import CHANNELS, make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector, street
from hemline.data.images import encode_jpeg, open_image
from hemline.errors import BundleError, ImageError, NoDetectorError, UsageError
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder, load


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_bundle(tmp_path_factory.mktemp("b") / "bundle")


def images(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 24, 20, 3), dtype=np.uint8))


def test_street_and_shop_equal_the_protocol(folder: Path) -> None:
    encoder = load(folder, threads=1)
    many, tags = images(70), [["colour=red"]] * 70
    street = encoder.embed_street(many)
    assert (street.shape, street.dtype) == ((70, CHANNELS), np.float32)
    np.testing.assert_allclose(np.linalg.norm(street, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(street, encoder.encode_street(many).embedding, atol=1e-6)
    shop = encoder.encode_shop(many, tags).embedding
    np.testing.assert_allclose(encoder.embed_shop(many, tags), shop, atol=1e-6)
    plain = encoder.encode_shop(many, [[]] * 70).embedding
    np.testing.assert_allclose(encoder.embed_shop(np.stack(many)), plain, atol=1e-6)


def test_one_or_many_as_file_bytes_or_array(folder: Path, tmp_path: Path) -> None:
    encoder = load(Bundle.open(folder), threads=1)
    data = encode_jpeg(images(1)[0])
    (tmp_path / "a.jpg").write_bytes(data)
    want = encoder.embed_street(open_image(data))
    assert want.shape == (1, CHANNELS)
    for same in (data, tmp_path / "a.jpg", str(tmp_path / "a.jpg"), [data]):
        np.testing.assert_array_equal(encoder.embed_street(same), want)
    assert encoder.embed_shop(data, [["colour=red"]]).shape == (1, CHANNELS)
    assert encoder.embed_street([]).shape == encoder.embed_shop([]).shape == (0, CHANNELS)


def test_detections_need_a_detector(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NoDetectorError, match="has no detector"):
        load(folder).detect(images(1))
    put_tiny_detector(make_tiny_bundle(tmp_path / "bundle"))
    encoder = load(tmp_path / "bundle", threads=1)
    photo = street((1, 1, "red"), (3, 3, "green"))
    (one,) = encoder.detect(photo)
    assert {found.category for found in one} == {"t-shirt", "bag"}
    assert encoder.detect([photo, photo]) == [one, one]


def test_bad_use(folder: Path, tmp_path: Path) -> None:
    encoder = load(folder)
    for wrong in (images(1)[0][..., 0], images(1)[0] / 255.0):
        with pytest.raises(UsageError, match=r"\(H, W, 3\) uint8"):
            encoder.embed_street(wrong)
    for tags in ([], ["colour=red"]):
        with pytest.raises(UsageError, match="as many lists of tags"):
            encoder.embed_shop(images(1), tags)  # type: ignore[arg-type]
    with pytest.raises(ImageError):
        encoder.embed_street(b"no image")
    with pytest.raises(BundleError, match="no bundle"):
        load(tmp_path / "nothing")


def test_the_default_is_the_shipped_bundle() -> None:
    encoder = load()
    assert isinstance(encoder, BundleEncoder)
    assert encoder.fingerprint == Bundle.default().fingerprint
