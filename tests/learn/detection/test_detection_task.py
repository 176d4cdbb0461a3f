"""The detector learns, goes on after a kill with the same numbers, and exports what torch gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from helpers.learning import SEED, THREADS, learned
from helpers.tiny_bundle import make_tiny_bundle
from hemline.data.boxes import suppress
from hemline.data.detector_outputs import Heads, decode
from hemline.data.garments import AnnotatedImage, Garment, annotated_images, to_text
from hemline.data.images import encode_jpeg
from hemline.data.manifest import Manifest
from hemline.data.preprocess import Preprocessing, prepare
from hemline.errors import BundleError, DataError, TrainingError, UsageError
from hemline.learn import checkpoint
from hemline.learn import recipe as recipes
from hemline.learn.api import train
from hemline.learn.detection import runs
from hemline.learn.detection.losses import (
    Annotations,
    GridTargets,
    box_shares,
    grid_targets,
    losses,
)
from hemline.learn.detection.network import DetectorConfig, DetectorNetwork, Outputs
from hemline.learn.detection.recipe import DetectorRecipe
from hemline.learn.detection.samples import DetectionAugmentation, DetectionDataset
from hemline.learn.detection.starting import start_from_bundle
from hemline.learn.detection.task import DetectionTask
from hemline.learn.export.detector import add_detector, describe_detector
from hemline.learn.export.writer import ExportOptions
from hemline.runtime.bundle import Bundle
from hemline.runtime.detector import BundleDetector
from hemline.synthetic import SyntheticSettings, make_dataset
from hemline.types import Box, Record

TINY = Heads(preprocessing=Preprocessing(size=64))
CONFIG = DetectorConfig(backbone="test_efficientnet", width=16, depth=1, frozen=0, heads=TINY)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(THREADS)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("drawn")
    path = make_dataset(folder / "d", 20, 3, SyntheticSettings(size=64), workers=1, street_views=1)
    manifest = Manifest.read(path)
    split = ["val" if row % 4 == 0 else "train" for row in range(len(manifest))]
    return manifest.with_column("split", split)


def recipe(**changes: object) -> DetectorRecipe:
    loaded = recipes.load("detector_synthetic", "smoke")
    assert isinstance(loaded, DetectorRecipe)
    return loaded.model_copy(update=changes)


def marked(*rows: tuple[tuple[float, ...], int, int, bool]) -> Annotations:
    return Annotations(
        torch.tensor([row[0] for row in rows], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([row[1] for row in rows], dtype=torch.long),
        torch.tensor([row[2] for row in rows], dtype=torch.long),
        torch.tensor([row[3] for row in rows], dtype=torch.bool),
    )


def test_goals_against_loops() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(14):
        low = rng.uniform(0, 0.7, 2)
        box = tuple(np.concatenate([low, low + rng.uniform(0.05, 0.3, 2)]).tolist())
        rows.append((box, int(rng.integers(3)), int(rng.integers(5)), bool(rng.random() < 0.3)))
    side = 10
    goal = grid_targets([marked(*rows)], 3, side)
    for layer in range(3):
        for place in range(side * side):
            x, y = (place % side + 0.5) / side, (place // side + 0.5) / side
            best, ignored = None, False
            for box, own, kind, ignore in rows:
                x1, y1, x2, y2 = box
                inside = x1 < x < x2 and y1 < y < y2
                if own != layer:
                    continue
                if ignore:
                    ignored |= inside
                    continue
                wide, high = max(0.15 * (x2 - x1), 0.1), max(0.15 * (y2 - y1), 0.1)
                near = abs(x - (x1 + x2) / 2) <= wide and abs(y - (y1 + y2) / 2) <= high
                area = (x2 - x1) * (y2 - y1)
                if near and inside and (best is None or area < best[0]):
                    best = (area, box, kind)
            if best is not None:
                assert goal.positive[0, layer, place]
                np.testing.assert_allclose(goal.boxes[0, layer, place], best[1], rtol=1e-5)
                assert goal.kinds[0, layer, place] == best[2]
            assert goal.counted[0, layer, place] == (best is not None or not ignored)
    assert goal.positive.sum() > 9


def test_a_garment_too_small_for_a_place_still_has_one() -> None:
    goal = grid_targets([marked(((0.101, 0.101, 0.109, 0.109), 1, 0, False))], 2, 4)
    assert 1 <= int(goal.positive[0, 1].sum()) <= 4
    assert not goal.positive[0, 0].any()


def test_the_loss_falls_to_where_the_goal_is() -> None:
    """Fitting the outputs themselves: boxes and kinds come out, and `decode` reads them."""
    own = marked(((0.1, 0.2, 0.6, 0.9), 0, 1, False), ((0.5, 0.1, 0.9, 0.5), 2, 16, False))
    goal = grid_targets([own], len(TINY.layers), 8)
    values = [
        torch.zeros(1, 6, 64, requires_grad=True),
        torch.zeros(1, 6, 4, 64, requires_grad=True),
        torch.zeros(1, len(TINY.kinds), 64, requires_grad=True),
    ]
    optimizer = torch.optim.Adam(values, lr=0.2)
    first = last = None
    for _ in range(250):
        last = losses(Outputs(*values), goal, TINY)
        first = first or float(last.total.detach())
        optimizer.zero_grad()
        last.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert last is not None
    assert first is not None
    assert float(last.total.detach()) < 0.1 * first
    found = decode(
        {n: v.detach().numpy() for n, v in zip(Outputs._fields, values, strict=True)},
        *(0, TINY, 100, 100),
    )
    sure = [d for d in found if d.score > 0.5]
    boxes = {d.category: d.box for d in sure}
    assert len(boxes) == 2
    np.testing.assert_allclose(boxes[list(TINY.kinds)[1]], (10, 20, 60, 90), atol=2)
    np.testing.assert_allclose(boxes[list(TINY.kinds)[16]], (50, 10, 90, 50), atol=2)


def test_ignored_places_teach_nothing() -> None:
    goal = grid_targets([marked(((0.0, 0.0, 1.0, 1.0), 1, 0, True))], 3, 4)
    spec = TINY.model_copy()
    scores = torch.randn(1, 6, 16, requires_grad=True)
    goal = GridTargets(*(torch.cat([part, part], dim=1) for part in goal))
    out = (scores, torch.zeros(1, 6, 4, 16), torch.zeros(1, len(spec.kinds), 16))
    losses(Outputs(*out), goal, spec).total.backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert not scores.grad[0, 1].any()
    assert not scores.grad[0, 4].any()
    assert scores.grad[0, [0, 2, 3, 5]].abs().min() > 0


def test_every_weight_learns_and_frozen_ones_do_not() -> None:
    torch.manual_seed(0)
    for frozen in (0, 2):
        network = DetectorNetwork(CONFIG.model_copy(update={"frozen": frozen})).train()
        out = network(torch.randn(2, 3, 64, 64))
        assert [tuple(t.shape) for t in out] == [(2, 6, 16), (2, 6, 4, 16), (2, 22, 16)]
        goal = grid_targets([marked(((0.1, 0.1, 0.7, 0.7), k, 3 * k, False)) for k in (0, 1)], 6, 4)
        losses(out, goal, TINY).total.backward()  # type: ignore[no-untyped-call]
        still = [n for n, p in network.named_parameters() if p.grad is None]
        assert bool(still) == bool(frozen)
        assert all(name.startswith("backbone.") for name in still)


def test_torch_and_numpy_read_the_same_boxes() -> None:
    raw = torch.randn(1, 6, 4, 25)
    shares = box_shares(raw, TINY.reach)[0].clamp(0, 1).numpy()
    scores = torch.full((1, 6, 25), 5.0)
    spec = TINY.model_copy(update={"overlap": 1.0})
    given = {"scores": scores.numpy(), "boxes": raw.numpy(), "kinds": np.zeros((1, 22, 25))}
    found = decode(given, 0, spec, 1000, 500)
    want = shares.reshape(-1, 4)[:100] * (1000, 500, 1000, 500)
    told = np.array([d.box for d in found])
    wide = (want[:, 2:] - want[:, :2]).min(axis=1) > 1
    np.testing.assert_allclose(told[wide], want[wide], rtol=1e-4, atol=1e-3)


def test_suppression_is_torchvisions() -> None:
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 50, (80, 2)).astype(np.float32)
    boxes = np.concatenate([low, low + rng.uniform(5, 40, (80, 2)).astype(np.float32)], axis=1)
    scores = rng.random(80).astype(np.float32)
    classes = rng.integers(0, 4, 80)
    theirs: Tensor = batched_nms(
        torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(classes), 0.5
    )
    assert suppress(boxes, scores, classes, 0.5).tolist() == theirs.tolist()


def test_boxes_follow_what_moves_the_picture(tmp_path: Path) -> None:
    """A white garment on black: wherever the view puts it, the box holds it."""
    image = np.zeros((120, 90, 3), np.uint8)
    image[30:80, 20:60] = 255
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(image, 95))
    picture = AnnotatedImage(tmp_path / "a.jpg", (Garment("shirt", Box(20, 30, 60, 80)),))
    moves = DetectionAugmentation(
        together=0.0, colour=DetectionAugmentation().colour.model_copy(update={"blur": 0.0})
    )
    data = DetectionDataset([picture], TINY, [(0, 96, seed) for seed in range(40)], moves)
    seen = 0
    for view, own in data:
        if not len(own.boxes) or own.ignore[0]:
            continue
        seen += 1
        light = view.mean(dim=0).numpy()
        x1, y1, x2, y2 = (round(float(v) * 96) for v in own.boxes[0])
        inside = light[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
        assert inside.min() > light.mean() - 0.2
        assert inside.std() < 0.1, "nothing but the garment is in its box"
    assert seen > 25


def test_four_pictures_share_a_view(drawn: Manifest) -> None:
    rows = np.flatnonzero(drawn.column("split") == "train").tolist()
    pictures = annotated_images(drawn, rows)
    assert len(pictures) == len(rows)
    alone = DetectionDataset(pictures, TINY, [(0, 64, 5)], None)[0]
    again = DetectionDataset(pictures, TINY, [(0, 64, 6)], None)[0]
    assert torch.equal(alone[0], again[0])
    four = DetectionDataset(pictures, TINY, [(0, 64, 5)], DetectionAugmentation(together=1.0))
    view, own = four[0]
    assert view.shape == (3, 64, 64)
    assert len(own.boxes) > len(alone[1].boxes)
    assert torch.equal(four[0][0], view)


def test_rows_of_one_picture_are_all_its_garments(tmp_path: Path) -> None:
    rows = [
        Record("a", "a.jpg", "1", "street", "shirt", Box(0, 0, 9, 9)),
        Record("a#2", "a.jpg", "2", "street", "jeans", Box(0, 9, 9, 19)),
        Record("b", "b.jpg", "3", "street", "", None, extra={"garments": to_text([])}),
    ]
    manifest = Manifest.from_records(rows, tmp_path)
    found = {p.path.name: p.garments for p in annotated_images(manifest, [0, 1, 2])}
    assert [g.category for g in found["a.jpg"]] == ["shirt", "jeans"]
    assert found["b.jpg"] == ()
    bare = Manifest.from_records([Record("c", "c.jpg", "3", "street")], tmp_path)
    with pytest.raises(DataError, match="neither a box nor the column 'garments'"):
        annotated_images(bare, [0])


@pytest.mark.parametrize("kill_after", [(2, 0), (1, 1)])  # stretches of two steps, and steps
def test_it_learns_goes_on_after_a_kill_and_refuses_another(
    drawn: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_after: tuple[int, int]
) -> None:
    chosen = recipe(steps=6, check=2, lr=0.01, checkpoint_minutes=0)
    whole = train(chosen, drawn, tmp_path / "whole")
    assert whole["finished"]
    history = json.loads((tmp_path / "whole" / "history.json").read_text())
    assert [entry["step"] for entry in history] == [2, 4, 6]

    save = checkpoint.save

    def killed(path: Path, tensors: object, state: dict[str, object]) -> None:
        save(path, tensors, state)  # type: ignore[arg-type]
        if "history" in state and (state["epoch"], state["batch"]) == kill_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        train(chosen, drawn, tmp_path / "cut")
    monkeypatch.setattr(checkpoint, "save", save)
    said: list[str] = []
    again = train(chosen, drawn, tmp_path / "cut", say=said.append)
    assert again["resumed"]
    assert f"continuing after step {2 * kill_after[0] + kill_after[1]}" in said
    assert json.loads((tmp_path / "cut" / "history.json").read_text()) == history
    first = runs.load_detector(tmp_path / "whole").network.state_dict()
    second = runs.load_detector(tmp_path / "cut").network.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    on = recipe(steps=1, check=1, lr=1e-9, start=str(tmp_path / "cut"))
    train(on, drawn, tmp_path / "on", say=said.append)
    assert f"the weights start from the run {tmp_path / 'cut'}" in said
    third = runs.load_detector(tmp_path / "on").network.state_dict()
    assert all(torch.allclose(second[n], third[n]) for n in second if n.endswith("weight"))
    done = train(chosen, drawn, tmp_path / "cut", say=said.append)
    assert done["finished"]
    assert "nothing was left to do" in said[-1]
    with pytest.raises(TrainingError, match="another recipe: seed was 0, now 1"):
        train(chosen.model_copy(update={"seed": 1}), drawn, tmp_path / "cut")
    fewer = drawn.select(range(len(drawn) - 1))
    with pytest.raises(TrainingError, match="on other data"):
        train(chosen, fewer, tmp_path / "cut")


def test_losses_of_a_lower_precision_are_computed_in_float32(
    drawn: Manifest, tmp_path: Path
) -> None:
    train(recipe(steps=2, check=1, precision="bfloat16"), drawn, tmp_path / "run")
    rows = json.loads((tmp_path / "run/history.json").read_text("utf-8"))
    assert [row["step"] for row in rows] == [1, 2]
    assert all(np.isfinite(row["train_loss"]) for row in rows)


def test_it_learns_one_picture_by_heart(tmp_path: Path) -> None:
    image = np.full((64, 64, 3), 40, np.uint8)
    image[8:40, 16:48] = (220, 40, 40)
    image[40:60, 16:48] = (40, 40, 220)
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(image, 95))
    own = to_text([Garment("shirt", Box(16, 8, 48, 40)), Garment("jeans", Box(16, 40, 48, 60))])
    rows = [
        Record(f"a{k}", "a.jpg", str(k), "street", split=split, extra={"garments": own})
        for k, split in enumerate(("train", "val"))
    ]
    manifest = Manifest.from_records(rows, tmp_path)
    still = DetectionAugmentation(zoom=1, aspect=0, flip=0, together=0)
    plain = recipe(seed=SEED, steps=90, check=90, lr=0.02, warmup=5, ema=0.9, batch_size=2)
    data = plain.data.model_copy(update={"moves": still})
    train(plain.model_copy(update={"data": data}), manifest, tmp_path / "run")
    run = runs.load_detector(tmp_path / "run")
    batch = torch.from_numpy(prepare(image, TINY.preprocessing, "street"))[None]
    with torch.inference_mode():
        outputs = {name: value.numpy() for name, value in run.network(batch)._asdict().items()}
    found = decode(outputs, 0, run.recipe.detector.heads, 64, 64)
    boxes = {d.category: d.box for d in found[:2]}
    # Ten seeds: within 0.1 to 2.4 pixels.
    learned("kinds found", len(boxes.keys() & {"shirt", "jeans"}), least=2)
    for kind, box in (("shirt", (16, 8, 48, 40)), ("jeans", (16, 40, 48, 60))):
        learned(kind, float(np.abs(np.subtract(boxes.get(kind, (0, 0, 0, 0)), box)).max()), most=4)


def test_the_bundle_gives_torchs_numbers(drawn: Manifest, tmp_path: Path) -> None:
    train(recipe(steps=3, check=3), drawn, tmp_path / "run")
    run = runs.load_detector(tmp_path / "run")
    bundle = make_tiny_bundle(tmp_path / "bundle")
    before = Bundle.open(bundle).fingerprint
    info = add_detector(tmp_path / "run", bundle, ExportOptions("float32"), threshold=0.4)
    assert info.detector is not None
    assert info.detector.precision_loss["max_abs_error"] < 1e-4
    assert info.detector.heads.threshold == 0.4
    opened = Bundle.open(bundle)
    assert opened.fingerprint == before
    rng = np.random.default_rng(2)
    images = [rng.integers(0, 256, (50, 90, 3), dtype=np.uint8) for _ in range(3)]
    spec = run.recipe.detector.heads
    batch = np.stack([prepare(image, spec.preprocessing, "street") for image in images])
    with torch.inference_mode():
        right = run.network(torch.from_numpy(batch))._asdict()
    values = opened.session("detector", 1).run(list(right), {"images": batch})
    for given, name in zip(values, right, strict=True):
        np.testing.assert_allclose(given, right[name].numpy(), atol=1e-4)
    (found,) = BundleDetector(opened, 1).detect(images[:1])
    outputs = {name: value.numpy() for name, value in right.items()}
    assert [d.category for d in found] == [d.category for d in decode(outputs, 0, spec, 90, 50)]
    half = add_detector(tmp_path / "run", bundle)
    assert half.detector is not None
    assert half.detector.precision == "float16"
    assert half.detector.fingerprint != info.detector.fingerprint
    assert len(list(bundle.glob("detector*.onnx"))) == 1
    (bundle / "README.md").write_text("# A bundle\n\nFigures hold.\n")
    for share in (0.25, 0.75):
        told = describe_detector(bundle, [{"protocol": "by hand", "pictures": 7, "ap": share}])
        assert told.detector is not None
        assert told.detector.fingerprint == half.detector.fingerprint
        card = (bundle / "README.md").read_text()
        assert card.count("## Detector") == card.count("Figures hold.") == 1
        assert f"ap {share:.3f}" in card
    assert Bundle.open(bundle).fingerprint == before


def test_a_training_starts_from_the_detector_of_a_bundle(drawn: Manifest, tmp_path: Path) -> None:
    train(recipe(steps=3, check=3, lr=0.01), drawn, tmp_path / "run")
    bundle = make_tiny_bundle(tmp_path / "bundle")
    with pytest.raises(TrainingError, match="has no detector to start from"):
        train(recipe(start=str(bundle)), drawn, tmp_path / "none")
    add_detector(tmp_path / "run", bundle, ExportOptions("float32"))
    before = runs.load_detector(tmp_path / "run").network
    rng = np.random.default_rng(4)
    images = torch.from_numpy(rng.normal(size=(6, 3, 64, 64)).astype(np.float32))
    network = runs.build(recipe(seed=1)).eval()
    told = start_from_bundle(network, str(bundle), images)
    with torch.inference_mode():
        for right, own in zip(before(images), network(images), strict=True):
            torch.testing.assert_close(own, right, atol=1e-4, rtol=1e-3)
        # In training the heads' norms use the batch's statistics, which are those of the images.
        network.started_from = told
        for right, own in zip(before(images), network.train()(images), strict=True):
            torch.testing.assert_close(own, right, atol=1e-3, rtol=1e-2)

    said: list[str] = []
    on = train(recipe(steps=1, check=1, start=str(bundle)), drawn, tmp_path / "on", say=said.append)
    assert on["started_from"] == "the detector of the bundle bundle"
    assert "the weights start from the detector of the bundle bundle" in said
    wide = CONFIG.model_copy(update={"width": 24})
    with pytest.raises(TrainingError, match="was made with detector.width=16, not 24"):
        train(recipe(start=str(bundle), detector=wide), drawn, tmp_path / "wide")
    few = TINY.model_copy(update={"kinds": dict(list(TINY.kinds.items())[1:])})
    other = CONFIG.model_copy(update={"heads": few})
    with pytest.raises(TrainingError, match="other layers or kinds"):
        train(recipe(start=str(bundle), detector=other), drawn, tmp_path / "few")
    with pytest.raises(TrainingError, match="no run of a detector"):
        train(recipe(start=str(tmp_path / "nothing")), drawn, tmp_path / "nowhere")


def test_the_shipped_detector_is_a_start() -> None:
    """Its graph's names, kinds and layers are those of `detector_real`; it computes in int8."""
    chosen = recipes.load("detector_real")
    assert isinstance(chosen, DetectorRecipe)
    assert chosen.start == "hemline-small"
    network = runs.build(chosen).eval()
    batch = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, 320, 320)))
    batch = batch.to(torch.float32).clamp(-1, 1)
    start_from_bundle(network, chosen.start, batch)
    with torch.inference_mode():
        own = network(batch)
    values = (
        Bundle.open("hemline-small")
        .session("detector", 1)
        .run(list(Outputs._fields), {"images": batch.numpy()})
    )
    for given, name in zip(values, Outputs._fields, strict=True):
        right = getattr(own, name).numpy()  # of the rounded weights, but in float32
        assert np.corrcoef(given.ravel(), right.ravel())[0, 1] > 0.999
        assert np.abs(given - right).mean() < 0.05 * right.std()


def test_images_of_some_rows_are_shown_more_often(drawn: Manifest) -> None:
    rows = drawn.with_column("part", ["street" if k % 3 else "drawn" for k in range(len(drawn))])
    chosen = recipe()
    data = chosen.data.model_copy(update={"repeats": {"part": {"street": 3}}})
    said: list[str] = []
    task = DetectionTask(chosen.model_copy(update={"data": data}), rows, said.append)
    train_rows = np.flatnonzero(rows.column("split") == "train")
    expected = {rows.file(int(k)): 3 if k % 3 else 1 for k in train_rows}
    found: dict[Path, int] = {}
    for image in task.train:
        found[image.path] = found.get(image.path, 0) + 1
    assert found == expected
    DetectionTask(chosen.model_copy(update={"data": data}), drawn, said.append)
    assert "the manifest has no column 'part': data.repeats changes nothing" in said


def test_mistakes(drawn: Manifest, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no run of a detector"):
        add_detector(tmp_path, make_tiny_bundle(tmp_path / "bundle"))
    with pytest.raises(BundleError, match="is no bundle"):
        add_detector(tmp_path, tmp_path / "none")
    train(recipe(steps=1, check=1), drawn, tmp_path / "run")
    with pytest.raises(UsageError, match="no precision 'int8' for a detector"):
        add_detector(tmp_path / "run", tmp_path / "bundle", ExportOptions("int8"))
    only = drawn.with_column("split", ["train"] * len(drawn))
    with pytest.raises(DataError, match="no row of the manifest has the split 'val'"):
        train(recipe(), only, tmp_path / "other")
    with pytest.raises(UsageError, match="no key detector.widht"):
        recipes.load("detector_synthetic", "smoke", ["detector.widht=3"])
    said: list[str] = []
    bare = CONFIG.model_copy(update={"weights": "nowhere.safetensors"})
    train(recipe(steps=1, check=1, detector=bare), drawn, tmp_path / "bare", say=said.append)
    assert any("starts from random weights" in line for line in said)
