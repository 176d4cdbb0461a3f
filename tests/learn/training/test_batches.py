from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from helpers.drawn_pairs import make
from hemline.data.images import crop, open_image
from hemline.data.manifest import Manifest
from hemline.data.preprocess import Preprocessing, normalise, prepare
from hemline.learn.training.augment import Augmentation
from hemline.learn.training.batches import PairDataset, to_batch
from hemline.learn.training.images import ImageCache, channel_statistics
from hemline.learn.training.sampler import Pair
from hemline.ranking.tags import multi_hot
from hemline.types import Box, Record

SPEC = Preprocessing(size=32, street_mean=(0.4, 0.5, 0.6), shop_std=(0.2, 0.3, 0.4))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return Manifest.read(make(tmp_path_factory.mktemp("pairs"), items=6, val=2))


def dataset(manifest: Manifest, batches: list[list[Pair]], **options: object) -> PairDataset:
    items = np.unique(manifest.column("item_id").astype(str), return_inverse=True)[1]
    vocabulary = manifest.tag_vocabulary()
    return PairDataset(
        batches,
        ImageCache(manifest, SPEC),
        items.astype(np.int64),
        multi_hot(manifest.column("tags"), vocabulary),
        SPEC,
        **options,  # type: ignore[arg-type]
    )


def test_a_batch_holds_what_serving_would_see(manifest: Manifest) -> None:
    pairs = [Pair(1, 0, 7), Pair(6, 4, 8)]
    raw = dataset(manifest, [pairs])[0]
    assert raw is not None
    batch = to_batch(raw, SPEC, CPU)
    for k, pair in enumerate(pairs):
        street = prepare(open_image(manifest.file(pair.street)), SPEC, "street")
        shop = prepare(open_image(manifest.file(pair.shop)), SPEC, "shop")
        np.testing.assert_allclose(batch.street[k].numpy(), street, atol=1e-6)
        np.testing.assert_allclose(batch.shop[k].numpy(), shop, atol=1e-6)
    assert batch.street_items.tolist() == batch.shop_items.tolist() == [0, 1]
    vocabulary = manifest.tag_vocabulary()
    assert [vocabulary[int(row.argmax())] for row in batch.tags] == [
        manifest[pair.shop].tags[0] for pair in pairs
    ]


def test_virtual_products_are_new_items_changed_alike(manifest: Manifest) -> None:
    pairs = [Pair(0, 0, 7), Pair(4, 4, 8)]  # the same picture on both sides
    always = dataset(manifest, [pairs], augmentation=Augmentation(virtual_products=1.0))[0]
    never = dataset(manifest, [pairs])[0]
    assert always is not None
    assert never is not None
    assert set(always.items.tolist()).isdisjoint(range(6))
    assert len(set(always.items.tolist())) == 2
    assert torch.equal(always.street, always.shop)
    assert not torch.equal(always.street, never.street)


def test_one_side_alone_can_be_augmented(manifest: Manifest) -> None:
    spec = Augmentation(domains="street", noise=0.3)
    changed = dataset(manifest, [[Pair(1, 0, 7), Pair(6, 4, 8)]], augmentation=spec)[0]
    plain = dataset(manifest, [[Pair(1, 0, 7), Pair(6, 4, 8)]])[0]
    assert changed is not None
    assert plain is not None
    assert torch.equal(changed.shop, plain.shop)
    assert not torch.equal(changed.street, plain.street)


def test_unreadable_pictures_leave_their_pair_out(tmp_path: Path) -> None:
    manifest = Manifest.read(make(tmp_path, items=3, photos=1, val=0))
    manifest.file(1).write_bytes(b"no picture")
    data = dataset(manifest, [[Pair(1, 0, 1), Pair(3, 2, 2), Pair(5, 4, 3)], [Pair(1, 0, 1)]])
    raw = data[0]
    assert raw is not None
    assert raw.items.tolist() == [1, 2]
    assert data[1] is None
    assert list(data.images.skipped) == [1]


def test_pictures_keep_to_their_room_and_read_ahead(manifest: Manifest) -> None:
    room = ImageCache(manifest, Preprocessing(size=256), cache_mb=1)
    told: list[tuple[int, int]] = []
    room.fill(range(20), lambda done, total: told.append((done, total)))
    assert told[-1] == (5, 5)  # 256 * 256 * 3 bytes each
    square = room[19]
    assert square is not None
    assert square.shape == (256, 256, 3)


def test_boxes_are_cut_and_landmarks_follow(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    points = np.zeros((8, 3), np.float32)
    points[0], points[1] = [30, 20, 2], [5, 5, 2]
    record = Record("a", "a.png", "i", "street", box=Box(10, 10, 50, 30), landmarks=points)
    manifest = Manifest.from_records([record], tmp_path)
    for resize, expected in (("stretch", (16, 16)), ("pad", (16, 16))):
        spec = Preprocessing(size=32, resize=resize)
        pictures = ImageCache(manifest, spec)
        found = pictures[0]
        assert found is not None
        cut = crop(open_image(tmp_path / "a.png"), record.box)
        np.testing.assert_allclose(
            normalise(found, spec, "street"), prepare(cut, spec, "street"), atol=1e-6
        )
        np.testing.assert_allclose(pictures.landmarks(0)[0], [*expected, 2])
        assert not pictures.landmarks(0)[1].any()  # outside the box
    whole = ImageCache(manifest, Preprocessing(size=32), boxes=False)
    assert whole[0] is not None
    np.testing.assert_allclose(whole.landmarks(0)[0], [30 * 32 / 80, 20 * 32 / 60, 2], rtol=1e-5)


def test_channel_statistics_are_those_of_all_pixels(manifest: Manifest) -> None:
    pictures = ImageCache(manifest, SPEC)
    rows = list(range(12))
    stacked = np.stack([pictures[row] for row in rows]).reshape(-1, 3) / 255
    mean, std = channel_statistics(pictures, rows)
    np.testing.assert_allclose(mean, stacked.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(std, stacked.std(axis=0), atol=1e-4)


def test_either_cut_is_taken_by_lot_on_each_side(manifest: Manifest) -> None:
    boxed = [replace(record, box=Box(5, 8, 40, 45)) for record in manifest]
    manifest = Manifest.from_records(boxed, manifest.root)
    cut, whole = ImageCache(manifest, SPEC), ImageCache(manifest, SPEC, boxes=False)
    seen = set()
    for seed in range(40):
        pairs = [Pair(1, 0, seed), Pair(6, 4, seed + 1000)]
        raw = dataset(manifest, [pairs], uncropped=whole)[0]
        again = dataset(manifest, [pairs], uncropped=whole)[0]
        assert raw is not None
        assert again is not None
        assert torch.equal(raw.street, again.street)
        sides = []
        for found, row in ((raw.street[0], 1), (raw.shop[0], 0)):
            is_cut = np.array_equal(found.numpy(), cut[row])
            assert is_cut != np.array_equal(found.numpy(), whole[row])
            sides.append(is_cut)
        seen.add(tuple(sides))
    assert len(seen) == 4
