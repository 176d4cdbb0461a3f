"""Every name at ``smoke``; what is done isn't done again; leaks; published figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers import needs
from helpers.made_up_sets import made_up_darn
from hemline.cli import main
from hemline.data.images import encode_jpeg
from hemline.data.manifest import Manifest
from hemline.datasets import PROTOCOLS
from hemline.errors import UsageError
from hemline.learn.api import train
from hemline.learn.recipe import Recipe, load
from hemline.progress import no_progress
from hemline.reproduce import measure, plots, source
from hemline.reproduce.run import EXPERIMENTS, PLOT, RESULT, TABLE, find, reproduce
from hemline.reproduce.scales import SCALES, TRUNK, Plan, network_of, recipe_of
from hemline.types import Record

#: Rows of the names with many; `test_every_row_of_every_name` has the others.
FEW = {
    "ahbn-table1": ["Single-Branch", "Two-Branch w. LM, features", "AHBN"],
    "darn-table2": ["DPM", "AN + SVR", "whole pictures"],
    "darn-figure5": ["DSIFT + FV, C = 64", "pre-trained NIN", "AN", "ARN", "DARN with Conv4-5"],
    "ynet-figure3": ["NIN", "TripletNIN", "YNIN", "TagYNIN", "CtxYNIN"],
    "ynet-figure4": ["VGG-CNN-S", "YVGG", "TagYVGG"],
    "darn-table3": ["AN", "DARN with Conv4-5"],
    "darn-figure6": ["AN", "ARN"],
    "systems": ["YNet", "Siamese"],
}
PAPERS = [name for name, one in EXPERIMENTS.items() if name not in ("systems", "attention")]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all names, which share its data and trainings."""
    return tmp_path_factory.mktemp("papers")


def test_the_names_are_those_of_the_papers() -> None:
    assert set(PAPERS) == {
        *("darn-figure5", "darn-figure6", "darn-table2", "darn-table3"),
        *("ynet-figure3", "ynet-figure4", "ynet-figure5", "ynet-figure6", "ynet-figure7"),
        *("siamese-table", "ahbn-table1", "ahbn-table2", "ahbn-table3", "ahbn-table4"),
        *("ahbn-figure7", "ahbn-figure8"),
    }


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_name_at_smoke(name: str, out: Path) -> None:
    check(name, reproduce(name, out, scale="smoke", only=FEW.get(name, ())), out)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FEW))
def test_every_row_of_every_name(name: str, out: Path) -> None:
    found = reproduce(name, out, scale="smoke")
    check(name, found, out)
    assert [row["name"] for row in found["rows"]] == [row.name for row in find(name).rows]


def check(name: str, found: dict[str, Any], out: Path) -> None:
    """The table, the plot and the JSON: every figure labelled, measured beside published."""
    folder = out / f"{name}-smoke"
    table = (folder / TABLE).read_text("utf-8")
    stored = json.loads((folder / RESULT).read_text("utf-8"))
    assert stored == {key: value for key, value in found.items() if key != "folder"}
    assert EXPERIMENTS[name].title in table
    if found["rows"]:
        assert "not the paper's data" in table
        assert "seeds 0" in table
    measured = [
        figure
        for row in found["rows"]
        for one in row["protocols"].values()
        for figure in one["measured"].values()
    ]
    assert measured or "drawing" in found
    for figure in measured:
        assert figure["label"] == "smoke"
        if figure["value"] is not None and figure["low"] is not None:
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
    for row in found["rows"]:
        assert row["protocols"] or row["not_measured"]
        assert all(figure["label"] == "published" for figure in row["published"].values())
        assert f"| {row['name']} |" in table
    for row in found["rows"]:
        for one in row["protocols"].values():
            if one.get("started_from"):
                assert f"Began from {one['started_from']}:" in table
    if plots.available() or EXPERIMENTS[name].drawn in ("hits", "attention"):
        assert (folder / PLOT).stat().st_size > 2000
        assert found["files"] == [TABLE, PLOT, RESULT]
    else:
        assert "hemline[learn]" in found["not_plotted"]


@pytest.mark.skipif(find_spec("matplotlib") is None, reason=needs.reason("plots"))
def test_the_same_figures_give_the_same_plot(out: Path) -> None:
    found = reproduce("siamese-table", out, scale="smoke")
    before = (out / "siamese-table-smoke" / PLOT).read_bytes()
    plots.plot(found, find("siamese-table"), out / "again.png")
    assert (out / "again.png").read_bytes() == before


@pytest.mark.skipif(find_spec("matplotlib") is None, reason=needs.reason("plots"))
@pytest.mark.parametrize("name", ["ynet-figure3", "darn-figure6"])
def test_curves_have_the_interval_of_each_row(name: str) -> None:
    figure = {"value": 0.5, "low": 0.4, "high": 0.7, "label": "smoke"}
    measured = {"recall@20": figure, "increase": {**figure, "low": None, "high": None}}
    rows = [
        {"name": row, "published": {}, "protocols": {"synthetic": {
            "measured": measured, "curve": [[1, 0.2], [20, 0.5]], "ladder": [[9, 0.6], [40, 0.5]],
        }}}
        for row in ("one", "two")
    ]  # fmt: skip
    axes = plots.new_axes()
    found = {"rows": rows, "protocols": {"synthetic": []}, "data": {"gallery": 40}}
    plots.draw(axes, found, find(name))
    bars = [bar for container in axes.containers for bar in container.lines[2]]
    ends = [path.vertices[:, 1].tolist() for bar in bars for path in bar.get_paths()]
    assert ends == [[pytest.approx(0.4), pytest.approx(0.7)]] * 2


@pytest.mark.skipif(find_spec("matplotlib") is None, reason=needs.reason("plots"))
@pytest.mark.parametrize(
    ("sizes", "scale", "named"),
    [
        ([30, 60, 120, 240, 480, 700], "log", ["30", "60", "120", "240", "700"]),
        ([30, 60, 120, 5_120], "log", ["30", "60", "120", "5,120"]),
        ([30, 60, 120], "linear", None),
        ([40], "linear", None),
    ],
)
def test_sizes_that_double_have_equal_distances(
    sizes: list[int], scale: str, named: list[str] | None
) -> None:
    figure = {"value": 0.5, "low": 0.4, "high": 0.7, "label": "smoke"}
    figures = {"measured": {"recall@20": figure}, "ladder": [[size, 0.5] for size in sizes]}
    rows = [{"name": "one", "published": {}, "protocols": {"synthetic": figures}}]
    found = {"rows": rows, "protocols": {"synthetic": []}, "data": {"gallery": sizes[-1]}}
    axes = plots.new_axes()
    plots.draw(axes, found, find("darn-figure6"))
    assert axes.get_xscale() == scale
    if named is not None:
        assert [tick.get_text() for tick in axes.get_xticklabels()] == named


@pytest.mark.skipif(find_spec("matplotlib") is None, reason=needs.reason("plots"))
def test_a_plot_says_how_it_was_measured(out: Path) -> None:
    found = reproduce("siamese-table", out, scale="smoke")
    axes = plots.new_axes()
    plots.finish(axes, found | {"settings": ["batch_size=4"]}, out / "told.png")
    (words,) = (text.get_text() for text in axes.texts)
    assert "not the paper's data" in words
    assert words.endswith("seeds 0; 1 epochs; batch_size=4")


@pytest.mark.parametrize("name", ["ahbn-table2", "ahbn-figure8"])
def test_groups_are_told_by_category_where_there_is_no_pose(name: str, out: Path) -> None:
    found = reproduce(name, out, scale="smoke", only=["Single-Branch"])
    (figures,) = found["rows"][0]["protocols"].values()
    assert figures["by"] == "category"
    assert sum(group["queries"] for group in figures["groups"].values()) == found["data"]["queries"]
    table = (out / f"{name}-smoke" / TABLE).read_text("utf-8")
    assert "| category | queries | Single-Branch, recall@1 | Single-Branch, recall@20 |" in table
    for group in figures["groups"]:
        assert f"| {group} | " in table
    if plots.available():
        axes = plots.new_axes()
        plots.draw(axes, found, find(name))
        assert axes.get_xlabel() == "category"
        assert len(axes.patches) == len(figures["groups"])


def test_a_stopped_command_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hemline.learn import api

    trained: list[str] = []
    real = train

    def stopped(recipe: Recipe, *args: Any, **more: Any) -> Any:
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(recipe.name)
        return real(recipe, *args, **more)

    monkeypatch.setattr(api, "train", stopped)
    only = ["YNIN", "TagYNIN"]
    with pytest.raises(KeyboardInterrupt):
        reproduce("ynet-figure3", tmp_path, scale="smoke", only=only)
    monkeypatch.setattr(api, "train", real)
    asked: list[str] = []
    measured = measure.measure

    def counted(encoder: Any, *args: Any, **more: Any) -> Any:
        asked.append(encoder.name)
        return measured(encoder, *args, **more)

    monkeypatch.setattr(measure, "measure", counted)
    said: list[str] = []
    first = reproduce("ynet-figure3", tmp_path, scale="smoke", only=only, say=said.append)
    assert [line for line in said if line.startswith("training")] == ["training TagYNIN, seed 0"]
    assert asked == ["tagynet"]  # YNIN was measured before
    assert all(row["protocols"] for row in first["rows"])
    said.clear()
    again = reproduce("ynet-figure3", tmp_path, scale="smoke", only=only, say=said.append)
    assert said == []
    assert asked == ["tagynet"]
    assert again["rows"] == first["rows"]


def test_finished_runs_are_taken(out: Path, tmp_path: Path) -> None:
    found = reproduce("ynet-figure3", out, scale="smoke", only=["YNIN"])
    (name,) = found["rows"][0]["protocols"]["synthetic"]["runs"]
    run = out / "runs" / name
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/ynin-0").symlink_to(run)
    for given in (f"YNIN={run}", str(tmp_path / "runs")):
        other = reproduce(
            "ynet-figure3", tmp_path / "other", scale="smoke", only=["YNIN"], runs=[given]
        )
        one, two = (row["protocols"]["synthetic"] for row in (*found["rows"], *other["rows"]))
        assert one["measured"] == two["measured"]
    assert not (tmp_path / "other/runs").exists()


def test_a_run_that_saw_the_queries_is_refused(tmp_path: Path) -> None:
    file = made_up_darn(tmp_path / "darn")
    manifest = Manifest.read(file)
    whole = manifest.with_column("split", ["train"] * len(manifest))
    recipe = load(
        "darn", "smoke",
        ["data.protocols=[]", "data.val=null", "model.config.ladder=an", "stages.Network.epochs=1"],
    )  # fmt: skip
    assert isinstance(recipe, Recipe)
    train(recipe, whole, tmp_path / "leaky")
    given = {"data": file, "only": ["AN"], "runs": [f"AN={tmp_path / 'leaky'}"], "scale": "smoke"}
    with pytest.raises(UsageError, match="was trained on"):
        reproduce("darn-table3", tmp_path / "out", **given)
    found = reproduce("darn-table3", tmp_path / "out", allow_leak=True, **given)
    assert "LEAK" in found["rows"][0]["protocols"]["darn"]["leak"]
    assert "LEAK" in (tmp_path / "out/darn-table3-smoke" / TABLE).read_text("utf-8")


def test_the_papers_own_data_keeps_its_queries_out(tmp_path: Path) -> None:
    made_up_darn(tmp_path / "darn")
    (tmp_path / "darn/manifest.parquet").unlink()  # so that the lists are read
    found = reproduce(
        "darn-table3", tmp_path / "out", scale="smoke", data=tmp_path / "darn", only=["AN"]
    )
    assert found["data"]["own"]
    assert found["rows"][0]["published"]["ndcg@20"]["value"] == 0.415
    (file,) = (tmp_path / "out/results").glob("an-*.json")
    overlap = json.loads(file.read_text("utf-8"))["training_overlap"]
    assert overlap["record"] == "complete"
    assert overlap["queries"] == 0


def test_a_rows_recipe_keeps_its_protocol_out_by_itself() -> None:
    checked = set()
    for experiment in EXPERIMENTS.values():
        meant = [n for n in experiment.protocols if PROTOCOLS[n].made_for is not None]
        for row in experiment.rows:
            for one in (row, row.start if row.start_always else None):
                if one is not None and one.recipe:
                    recipe = load(one.recipe)
                    assert isinstance(recipe, Recipe)
                    left = set(meant) - set(recipe.data.protocols)
                    assert not left, f"{one.recipe} of {experiment.title} trains on {left}"
                    checked |= {(one.recipe, name) for name in meant}
    assert ("darn_baseline", "darn-ynet") in checked
    assert len(checked) > 10


def test_published_figures_are_those_of_the_protocols() -> None:
    compared = 0
    for experiment in EXPERIMENTS.values():
        for name in experiment.protocols:
            known = PROTOCOLS[name].published if name in PROTOCOLS else ()
            for entry in known:
                if not entry.source.startswith(experiment.paper.split(",")[0]):
                    continue
                for row in experiment.rows:
                    value = row.published.get(entry.metric)
                    if row.name == entry.model and value is not None and entry.model != "DARN":
                        assert value == entry.value, (experiment.title, row.name)
                        compared += 1
    assert compared > 8


def test_at_paper_a_recipe_is_as_it_ships() -> None:
    for experiment in EXPERIMENTS.values():
        for row in experiment.rows:
            if not row.recipe:
                continue
            recipe = recipe_of(row, 0, Plan(SCALES["paper"]))
            shipped = load(row.recipe, "paper", ["seed=0", *row.settings, *row.paper])
            assert recipe == shipped


def test_at_bench_rows_share_epochs_and_network(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    plan = Plan(SCALES["bench"], "box", {TRUNK: file})
    for row in EXPERIMENTS["systems"].rows:
        if not row.recipe:
            continue
        recipe = recipe_of(row, 0, plan)
        epochs = [recipe.stages[name].epochs or 0 for name in row.stages]
        # AHBN's branches are taught two epochs each, here or in the run that it starts from.
        assert sum(epochs) in (6, 8, 10), row.name
        assert recipe.data.crop == "box"
        if row.recipe not in ("darn", "triplet_nin") and "Res50" not in row.name:
            assert network_of(recipe) == TRUNK, row.name


def test_settings_are_those_of_every_row_and_named(tmp_path: Path) -> None:
    found = reproduce(
        "siamese-table", tmp_path, scale="smoke", only=["siamese"], settings=["batch_size=4"]
    )
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "recipe.json").read_text("utf-8"))["batch_size"] == 4
    assert found["settings"] == ["batch_size=4"]
    table = (tmp_path / "siamese-table-smoke" / TABLE).read_text("utf-8")
    assert "1 epochs; batch_size=4;" in table


def test_a_difference_is_published_where_both_rows_are(out: Path) -> None:
    first = reproduce("siamese-table", out, scale="smoke", only=["siamese"])
    (run,) = first["rows"][0]["protocols"]["siamese-1k"]["runs"]
    found = reproduce("siamese-table", out, scale="smoke", runs=[f"baseline={out / 'runs' / run}"])
    gains = found["rows"][1]["gain"]["measured"]
    assert gains["siamese-1k"]["published"] == pytest.approx(0.153)
    assert gains["siamese-10k"]["published"] == pytest.approx(0.111)
    assert gains["siamese-1k"]["value"] == 0  # a run beside itself
    table = (out / "siamese-table-smoke" / TABLE).read_text("utf-8")
    assert "| +0.000 (+0.000 to +0.000) over baseline | +0.153 |" in table


def test_galleries_grow_and_hold_every_right_answer(out: Path) -> None:
    made = source.drawn(find("darn-figure6"), SCALES["smoke"], out, no_progress)
    ((part,),) = made.parts.values()
    items = part.manifest.column("item_id")
    least = part.gallery[: part.gallery_sizes[0]]
    assert {str(items[row]) for row in least} == {one for right in part.relevant for one in right}
    assert len(set(part.gallery.tolist())) == len(part.gallery)


def test_what_is_asked_wrongly_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["ynet-figure33", "-o", "X"], "ynet-figure3"),
        (["ynet-figure3"], "needs NAME and -o"),
        (["ynet-figure3", "-o", "X", "--scale", "benchs"], "bench"),
        (["ynet-figure3", "-o", "X", "--only", "YNI"], "YNIN"),
        (["ynet-figure3", "-o", "X", "--runs", "YNI=run"], "YNIN"),
        (["ynet-figure3", "-o", "X", "--weights", "nin=none"], "NETWORK=FILE"),
        (["ynet-figure3", "-o", "X", "--seeds", "a"], "--seeds"),
        (["siamese-table", "-o", "X", "--scale", "smoke", "--set", "batchsize=4"], "batch_size"),
        (["ynet-figure3", "-o", "X", "--protocol", "darn"], "--data"),
    ):
        words = [str(tmp_path / word) if word == "X" else word for word in words]
        assert main(["reproduce", *words, "--products", "8"]) == 2
        assert said in capsys.readouterr().err, words


def test_list_says_what_each_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "--list"]) == 0
    told = capsys.readouterr().out
    assert all(f"{name}: " in told for name in EXPERIMENTS)
    assert "data: darn, protocol darn;" in told
    assert "hemline bundle nin --weights FILE" in told
    # Five steps of the ladder, from one network that learned categories.
    assert (
        "takes: 6 trainings at bench" in told.partition("darn-figure5: ")[2].partition("darn-")[0]
    )


def shop_of_pairs(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A manifest of plain squares: one colour for each item."""
    records = []
    for number, row in enumerate(rows):
        seed = np.random.default_rng(int(str(row["item_id"]).rpartition("/")[2]))
        colour = seed.integers(20, 236, 3) + np.random.default_rng(number).integers(-9, 9, 3)
        image = np.broadcast_to(colour.astype(np.uint8), (40, 40, 3))
        (folder / f"{number}.jpg").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(encode_jpeg(np.ascontiguousarray(image)))
        records.append(Record(f"{number}", f"{number}.jpg", **row))
    return Manifest.from_records(records, folder).write(folder / "manifest.parquet")


def test_a_row_goes_on_from_a_run_that_learned_labels_on_other_data(
    out: Path, tmp_path: Path
) -> None:
    """AHBN's transfer to In-Shop, whose images are of one domain and have no attributes."""
    roles = [("train", ""), ("train", ""), ("test", "query"), ("test", "gallery")]
    rows = [
        {"item_id": f"i/{item + (0 if split == 'train' else 100)}", "domain": "shop",
         "split": split, "role": role, "category": "tee", "extra": {"pose": "front"}}
        for item in range(10) for split, role in roles
    ]  # fmt: skip
    data = shop_of_pairs(tmp_path / "inshop", rows)
    given = {"scale": "smoke", "data": data, "only": ["AHBN"]}
    first = reproduce("ahbn-table4", tmp_path / "out", **given)
    assert "--start 'AHBN=RUN'" in first["rows"][0]["not_measured"]
    taught = reproduce("ahbn-table1", out, scale="smoke", only=["AHBN"])
    (run,) = taught["rows"][0]["protocols"]["synthetic"]["runs"]
    found = reproduce(
        "ahbn-table4", tmp_path / "out", starts=[f"AHBN={out / 'runs' / run}"], **given
    )
    figures = found["rows"][0]["protocols"]["inshop"]
    assert found["data"]["own"]
    assert "ahbn-0-" in figures["started_from"] or run in figures["started_from"]
    assert figures["runs"][0].startswith("ahbn_street2shop-0-")
    with pytest.raises(UsageError, match="there is no row"):
        reproduce("ahbn-table4", tmp_path / "out", starts=[f"AHBM={run}"], **given)
    with pytest.raises(UsageError, match="a run's folder"):
        reproduce("ahbn-table4", tmp_path / "out", starts=["AHBN=nowhere"], **given)


def test_every_second_image_of_a_training_item_plays_the_photo(tmp_path: Path) -> None:
    rows = [
        {"item_id": f"i/{n // 3}", "domain": "shop", "split": "train" if n < 6 else "test",
         "role": "" if n < 6 else "gallery"}
        for n in range(9)
    ]  # fmt: skip
    made = source.paired(Manifest.read(shop_of_pairs(tmp_path, rows)))
    sides = ["shop", "street", "shop"]
    assert made.column("domain").tolist() == [*sides, *sides, *["shop"] * 3]


def test_a_detector_cuts_what_the_paper_cuts(tmp_path: Path) -> None:
    """Both sides of DARN's data, the shop's images alone of Street2Shop; then the boxes count."""
    bundle, both = "hemline-small", tmp_path / "both"
    found = reproduce("darn-table3", both, scale="smoke", only=["AN"], detector=bundle)
    (choices,) = found["protocols"]["synthetic"]
    assert "street photos and shop images cropped by hemline-small" in found["data"]["words"]
    assert choices["crop"].startswith("box")
    made = {}
    for name in ("darn-table3", "ahbn-table2"):
        one = source.drawn(find(name), SCALES["smoke"], both, no_progress, bundle).manifest
        listed = np.stack([one.column(f"listed_{k}") for k in ("x1", "y1", "x2", "y2")], axis=1)
        cut = ~np.isclose(one.boxes(), listed.astype(float), equal_nan=True).all(axis=1)
        made[name] = {one[row].domain for row in np.flatnonzero(cut).tolist()}
    assert made == {"darn-table3": {"street", "shop"}, "ahbn-table2": {"shop"}}


def test_tables_have_each_tag_and_each_landmark(out: Path) -> None:
    found = reproduce("ahbn-table1", out, scale="smoke", only=["AHBN"])
    labels = found["labels"]["AHBN"]
    assert len(labels["landmarks"]) > 4
    table = (out / "ahbn-table1-smoke" / TABLE).read_text("utf-8")
    for names in (labels["attribute_types"], labels["landmarks"]):
        assert " | ".join(names) in table
    assert f"| AHBN | {labels['landmark_error']:.3f} |" in table
