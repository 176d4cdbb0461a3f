"""What a run predicts beside embeddings, measured by `hemline evaluate --labels`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from helpers.made_up_sets import made_up_darn
from helpers.tiny_bundle import make_tiny_bundle
from hemline.cli import main
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices
from hemline.datasets import build


@pytest.mark.learn
def test_tags_of_a_run_against_scikit_learn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from hemline.data.images import open_image
    from hemline.data.preprocess import prepare
    from hemline.learn.checkpoint import CheckpointEncoder

    path = made_up_darn(tmp_path)
    words = ["--scale", "smoke", "threads=1", "stages.all.epochs=1", "--json"]
    assert main(["train", "darn", str(path), "-o", str(tmp_path / "run"), *words]) == 0
    capsys.readouterr()
    asked = ["evaluate", str(tmp_path / "run"), str(path), "--protocol", "darn", "--labels"]
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["labels"]

    encoder = CheckpointEncoder(tmp_path / "run", device="cpu")
    (protocol,) = build("darn", Manifest.read(path), Choices())
    scores, tags = [], []
    for rows, domain in ((protocol.queries, "street"), (protocol.gallery, "shop")):
        for row in np.unique(rows).tolist():
            image = open_image(protocol.manifest.file(row))
            ready = prepare(image, encoder.model.preprocessing, domain)  # type: ignore[arg-type]
            with torch.inference_mode():
                out = encoder.model.predict(torch.from_numpy(ready)[None], domain == "street")
            assert out.attributes is not None
            scores.append(out.attributes[0].numpy())
            tags.append(protocol.manifest[row].tags)
    assert found["images"] == len(tags)
    for number, tag in enumerate(encoder.run.vocabulary):
        name = tag.partition("=")[0] + "="
        known = [any(own.startswith(name) for own in some) for some in tags]
        right = np.array([tag in some for some in tags])[known]
        if not right.any():
            assert tag not in found["attributes"]
            continue
        own = np.array([row[number] for row in scores])[known]
        assert found["attributes"][tag]["ap"] == pytest.approx(
            average_precision_score(right, own), abs=0.02
        )  # a tie of two scores may fall either way
        assert found["attributes"][tag]["rows"] == int(right.sum())
    each = [one["ap"] for one in found["attributes"].values()]
    assert found["attribute_map"] == pytest.approx(np.mean(each))
    assert {"category", "color"} <= set(found["attribute_types"])
    assert main(asked) == 0
    assert "tags: mAP" in capsys.readouterr().out
    assert main([*asked, "--crop", "detected"]) != 0


def test_a_bundle_predicts_no_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = make_tiny_bundle(tmp_path / "bundle")
    path = made_up_darn(tmp_path / "data", items=4)
    assert main(["evaluate", str(bundle), str(path), "--labels"]) == 2
    assert "predicted by a run only" in capsys.readouterr().err
