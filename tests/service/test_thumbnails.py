"""Images made smaller: their sizes and formats, what caches are told, the bounded cache."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from fastapi.testclient import TestClient

from hemline.data.images import encode_jpeg
from hemline.service.thumbnails import SIZES, Thumbnails, media_type

WEBP = {"Accept": "image/avif,image/webp,image/apng,*/*;q=0.8"}


def opened(data: bytes) -> Any:
    return PIL.Image.open(io.BytesIO(data))


@pytest.fixture
def picture(client: TestClient) -> str:
    """Address of a stored image of 640 × 400 pixels."""
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 255, (10, 16, 3), np.uint8)
    image = np.repeat(np.repeat(rough, 40, axis=0), 40, axis=1)
    files = {"picture": ("a.jpg", encode_jpeg(image))}
    assert client.put("/v1/items/wide", files=files).status_code == 201
    shown = client.get("/v1/items/wide").json()["pictures"][0]["picture"]
    assert isinstance(shown, str)
    return shown


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("media", ["image/webp", "image/jpeg"])
def test_sizes_and_formats(client: TestClient, picture: str, size: int, media: str) -> None:
    headers = WEBP if media == "image/webp" else {"Accept": "*/*"}
    answer = client.get(f"{picture}?size={size}", headers=headers)
    assert answer.headers["content-type"] == media
    image = opened(answer.content)
    assert (image.format, image.size) == (media[6:].upper(), (size, size * 400 // 640))
    original = opened(client.get(picture).content).resize(image.size)
    difference = np.abs(np.asarray(image, int) - np.asarray(original, int))
    assert difference.mean() < 12
    assert answer.headers["vary"] == "Accept"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = client.get(
        f"{picture}?size={size}", headers={**headers, "If-None-Match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"{picture}?size={size}", headers=headers).content == answer.content


def test_tags_name_the_size_and_the_format(client: TestClient, picture: str) -> None:
    asked = [(size, accept) for size in SIZES for accept in (WEBP, {"Accept": "image/jpeg"})]
    tags = {client.get(f"{picture}?size={n}", headers=own).headers["etag"] for n, own in asked}
    tags.add(client.get(picture).headers["etag"])
    assert len(tags) == 9
    assert "vary" not in client.get(picture).headers


@pytest.mark.parametrize("size", ["0", "1", "321", "-160", "10000", "a", "320.0"])
def test_other_sizes_are_refused(client: TestClient, picture: str, size: str) -> None:
    assert client.get(f"{picture}?size={size}").status_code == 422


def test_a_small_image_isnt_made_larger(client: TestClient) -> None:
    shown = client.get("/v1/items/item0").json()["pictures"][0]["picture"]
    stored, large = (opened(client.get(shown + q).content) for q in ("", "?size=640"))
    assert stored.size == large.size


def test_one_that_is_missing(client: TestClient, picture: str, shop: Path) -> None:
    digest = picture.rpartition("/")[2]
    for wrong in ("f" * 40, "..", digest[:-1]):
        answer = client.get(f"/v1/pictures/{wrong}?size=320")
        assert (answer.status_code, "cache-control" in answer.headers) == (404, True)
        assert answer.headers["cache-control"] == "no-store"
    (stored,) = shop.rglob(f"{digest}.jpg")
    stored.unlink()
    assert client.get(f"{picture}?size=320").status_code == 404


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("image/webp", "image/webp"),
        ("image/avif, IMAGE/WEBP;q=0.9", "image/webp"),
        ("*/*", "image/jpeg"),
        ("image/*", "image/jpeg"),
        ("", "image/jpeg"),
        ("image/webpx", "image/jpeg"),
    ],
)
def test_who_gets_webp(accept: str, media: str) -> None:
    assert media_type(accept) == media


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    paths = []
    for number in range(6):
        rng = np.random.default_rng(number)
        paths.append(tmp_path / f"{number}.jpg")
        paths[-1].write_bytes(encode_jpeg(rng.integers(0, 255, (200, 200, 3), np.uint8)))
    one = len(Thumbnails().make(paths[0], 160, "image/webp"))
    thumbnails = Thumbnails(limit=3 * one + one // 2)
    for path in paths:
        data = thumbnails.make(path, 160, "image/webp")
        assert thumbnails.make(path, 160, "image/webp") == data

    kept = [path for path in paths if thumbnails.get(path.stem, 160, "image/webp")]
    assert kept == paths[3:]
    assert Thumbnails(limit=10).make(paths[0], 160, "image/jpeg")


def test_whoever_asks_for_too_many_gets_the_stored_ones(
    client: TestClient, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]
    known = client.get(f"{picture}?size=160")
    monkeypatch.setattr(service.thumbnail_rate, "wait", lambda name: 1.0)
    assert client.get(f"{picture}?size=160").content == known.content  # it is kept
    stored = client.get(f"{picture}?size=320")
    assert stored.content == client.get(picture).content
    assert stored.headers["cache-control"] == "no-store"
    assert "etag" not in stored.headers
