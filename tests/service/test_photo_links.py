"""A photo shared by a link: kept for a day where the shop allows it, small, and for whoever has
its id."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.tiny_detector import street
from hemline import files
from hemline.data.images import encode_jpeg
from hemline.errors import DataError
from hemline.runtime.pool import EncoderPool
from hemline.search.encoded import EncodedPhoto
from hemline.search.ranking import Query
from hemline.service.photo_links import DAY, PhotoLinks
from hemline.service.problems import Problem


def share(client: Any, photo: bytes, **fields: str) -> Any:
    return client.post("/v1/photos", files={"photo": photo}, data=fields)


def stored(shop: Path) -> list[Path]:
    return sorted((shop / "service/photos").glob("*.jpg"))


def test_a_shop_that_does_not_allow_it_keeps_nothing(client: Any, photo: bytes, shop: Path) -> None:
    assert client.get("/v1/info").json()["page"]["photo_links"] is False
    assert share(client, photo).status_code == 404
    assert not (shop / "service/photos").exists()


def test_the_searched_part_alone_is_kept(open_client: Any, shop: Path) -> None:
    client = open_client(photo_links=True)
    assert client.get("/v1/info").json()["page"]["photo_links"] is True
    large = BytesIO()
    picture = Image.new("RGB", (2000, 1000), (255, 0, 0))
    picture.paste((0, 0, 255), (1000, 0, 2000, 1000))
    picture.save(large, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0SECRETPLACE")
    made = share(client, large.getvalue(), box="1000,0,2000,1000").json()
    assert re.fullmatch("[0-9a-f]{32}", made["id"]), "128 random bits"
    assert made["seconds"] == DAY
    answer = client.get(f"/v1/photos/{made['id']}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, no-store"
    shown = Image.open(BytesIO(answer.content))
    assert shown.size == (480, 480)
    assert shown.resize((1, 1)).getpixel((0, 0))[2] > 240
    assert b"SECRETPLACE" not in answer.content
    assert [path.read_bytes() for path in stored(shop)] == [answer.content]
    assert share(client, large.getvalue()).json()["id"] != made["id"]


class Counted:
    """A street tower that counts the photos that it encodes."""

    def __init__(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.photos = 0
        encode = EncoderPool.encode_street

        def counted(pool: Any, images: Any) -> Any:
            self.photos += len(images)
            return encode(pool, images)

        monkeypatch.setattr(EncoderPool, "encode_street", counted)


def test_a_link_searches_with_the_kept_embedding(
    open_client: Any, photo: bytes, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed before: the small copy was encoded anew, each time, with another embedding."""
    client = open_client(photo_links=True)
    box = "2,2,28,20"
    asked = {"k": "4", "where": "price >= 0", "facets": "category"}
    direct = client.post("/v1/search", files={"photo": photo}, data={**asked, "box": box}).json()
    name = share(client, photo, box=box).json()["id"]
    tower = Counted(client, monkeypatch)
    answer = client.get(f"/v1/photos/{name}/search", params=asked)
    assert answer.status_code == 200, answer.text
    kept = answer.json()
    for key in ("facets", "more", "offset", "revision", "note"):
        assert kept[key] == direct[key]
    for one, other in zip(kept["hits"], direct["hits"], strict=True):
        assert one["item_id"] == other["item_id"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-3)  # half precision
        assert one["alike"] == other["alike"]
    assert (kept["box"], kept["size"], kept["detections"]) == (None, [26, 18], [])
    assert tower.photos == 0
    second = client.get(f"/v1/photos/{name}/search", params={"k": 2, "offset": 2}).json()
    assert [hit["item_id"] for hit in second["hits"]] == [
        hit["item_id"] for hit in direct["hits"][2:4]
    ]
    judged = {"search_id": kept["search_id"], "item_id": kept["hits"][0]["item_id"], "right": True}
    assert client.post("/v1/feedback", json=judged).status_code == 200
    assert client.get(f"/v1/photos/{name}/search", params={"where": "pric"}).status_code == 422
    assert client.get(f"/v1/photos/{'0' * 32}/search").status_code == 404


def test_a_link_to_a_whole_photo_searches_with_its_garments(
    open_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_client(photo_links=True)
    photo = encode_jpeg(street((1, 1, "red"), (2, 3, "blue")))
    direct = client.post("/v1/search", files={"photo": photo}, data={"every": "true"}).json()
    tower = Counted(client, monkeypatch)
    name = share(client, photo, every="true").json()["id"]
    assert tower.photos == 3, "the photo and two garments"
    kept = client.get(f"/v1/photos/{name}/search").json()
    assert tower.photos == 3
    assert [(hit["item_id"], hit["alike"]) for hit in kept["hits"]] == [
        (hit["item_id"], hit["alike"]) for hit in direct["hits"]
    ]
    scores = [hit["score"] for hit in direct["hits"]]
    assert [hit["score"] for hit in kept["hits"]] == pytest.approx(scores, abs=1e-3)
    plain = client.get(f"/v1/photos/{share(client, photo).json()['id']}/search").json()
    assert [hit["score"] for hit in plain["hits"]] != [hit["score"] for hit in kept["hits"]]
    assert share(client, photo, every="true", box="1,1,20,20").status_code == 422


def test_a_link_ends_with_its_bundle(open_client: Any, photo: bytes, shop: Path) -> None:
    client = open_client(photo_links=True)
    name = share(client, photo).json()["id"]
    path = shop / "service/photos" / f"{name}.npz"
    encoded = EncodedPhoto.from_bytes(path.read_bytes())
    path.write_bytes(replace(encoded, fingerprint="other").to_bytes())
    answer = client.get(f"/v1/photos/{name}/search")
    assert (answer.status_code, answer.json()["type"]) == (410, "urn:hemline:problem:photo-ended")
    assert client.get(f"/v1/photos/{name}").status_code == 200
    path.unlink()  # as a version that kept no encoding left it
    assert client.get(f"/v1/photos/{name}/search").status_code == 404
    path.write_bytes(b"no zip")
    assert client.get(f"/v1/photos/{name}/search").status_code == 500


def test_an_encoding_is_kept_as_it_is() -> None:
    rng = np.random.default_rng(0)
    local = rng.normal(size=(1, 5, 4)).astype(np.float32)
    query = Query(rng.normal(size=(1, 8)).astype(np.float32), local)
    told = EncodedPhoto.from_bytes(EncodedPhoto("print", query, (26, 18)).to_bytes())
    assert (told.fingerprint, told.size) == ("print", (26, 18))
    assert np.array_equal(told.query.embeddings, query.embeddings)
    assert told.query.local == pytest.approx(local, rel=1e-3)
    bare = EncodedPhoto("print", Query(query.embeddings), (1, 1)).to_bytes()
    assert EncodedPhoto.from_bytes(bare).query.local is None
    with pytest.raises(DataError):
        EncodedPhoto.from_bytes(bare[:50])
    older = bare[: bare.rindex(b"hemline:")]  # without a checksum
    assert EncodedPhoto.from_bytes(older).size == (1, 1)


def test_no_flipped_bit_of_an_encoding_is_searched_with() -> None:
    """A bit of NumPy's file could leave out the local features, or end in a traceback."""
    query = Query(np.ones((1, 3), np.float32), np.ones((1, 2, 2), np.float32))
    data = EncodedPhoto("print", query, (26, 18)).to_bytes()
    for at in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        try:
            found = EncodedPhoto.from_bytes(bytes(flipped))
        except DataError:
            continue
        assert (found.fingerprint, found.size) == ("print", (26, 18)), at
        assert np.array_equal(found.query.embeddings, query.embeddings), at
        assert found.query.local is not None, at


def test_a_link_that_was_given_is_on_the_disk(
    open_client: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, synced = open_client(photo_links=True), []
    real = files.sync_file
    monkeypatch.setattr(files, "sync_file", lambda path: (synced.append(path.name), real(path)))
    name = share(client, photo).json()["id"]
    assert [part for text in synced for part in (".npz", ".jpg") if name in text and part in text]
    assert sum(name in text for text in synced) == 2


def test_what_is_no_photo_is_refused(open_client: Any, photo: bytes, shop: Path) -> None:
    client = open_client(photo_links=True)
    assert share(client, b"no photo").status_code == 422
    files = [("photo", photo), ("photo", photo)]
    assert client.post("/v1/photos", files=files).status_code == 422
    for name in ("0" * 32, "..%2f..%2fkeys", "x", "0" * 200):
        assert client.get(f"/v1/photos/{name}").status_code in (404, 422)
    assert stored(shop) == []


def test_a_photo_is_gone_after_a_day(tmp_path: Path) -> None:
    now = time.time()
    links = PhotoLinks(tmp_path / "photos", True, clock=lambda: now)
    name = links.put(b"a photo", b"its encoding")
    (kept,) = (tmp_path / "photos").glob("*.jpg")
    (encoded,) = (tmp_path / "photos").glob("*.npz")
    for path in (kept, encoded):
        os.utime(path, (now, now))
    now += DAY - 1
    links.sweep()
    assert links.get(name) == b"a photo"
    assert links.encoded(name) == b"its encoding"
    now += 1
    for read in (links.get, links.encoded):
        with pytest.raises(Problem, match="day is over"):
            read(name)
    assert kept.exists()
    links.sweep()
    assert not kept.exists()
    assert not encoded.exists()
    links.close()


def test_a_start_deletes_what_is_old_or_no_longer_allowed(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    first = PhotoLinks(folder, True)
    old, new = first.put(b"old"), first.put(b"new")
    first.close()
    before = time.time() - DAY - 1
    os.utime(folder / f"{old}.jpg", (before, before))
    torn = folder / f".{new}.jpg.0a1b2c3d"  # a kill has left it
    torn.write_bytes(b"half of a photo")
    os.utime(torn, (before, before))
    second = PhotoLinks(folder, True)
    assert [path.stem for path in folder.glob("*.jpg")] == [new]
    assert not torn.exists()
    second.close()
    PhotoLinks(folder, False)
    assert not folder.exists()


def test_photos_are_bounded_in_number_and_bytes(tmp_path: Path) -> None:
    links = PhotoLinks(tmp_path / "photos", True, most=2, most_bytes=100)
    names = [links.put(b"a"), links.put(b"b")]
    with pytest.raises(Problem, match="too many"):
        links.put(b"c")
    assert [links.get(name) for name in names] == [b"a", b"b"], "nobody's link is taken away"
    links.close()
    fat = PhotoLinks(tmp_path / "fat", True, most=9, most_bytes=100)
    with pytest.raises(Problem, match="too many"):
        fat.put(b"x" * 101)
    with pytest.raises(Problem, match="too many"):
        fat.put(b"x" * 60, b"x" * 41)
    fat.close()


def test_an_address_shares_a_few_photos(open_client: Any, photo: bytes) -> None:
    client = open_client(photo_links=True)
    statuses = [share(client, photo).status_code for _ in range(22)]
    assert statuses[:20] == [200] * 20
    assert 429 in statuses
