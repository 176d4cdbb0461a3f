"""Every option of every model keeps the contract too, each in its tiny size."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.learning import THREADS
from helpers.model_contract import (
    B,
    M,
    assert_exports,
    assert_gradients,
    assert_overfits,
    build,
    make_batch,
    unknown_batch,
)
from helpers.model_forms import FORMS, Form, tiny
from hemline.errors import UsageError
from hemline.learn.loss import ranking_losses
from hemline.learn.model import MODELS

CASES = [(name, form) for name, forms in FORMS.items() for form in forms]
#: Settings whose values are tested by themselves (test_preprocess, test_mining).
ELSEWHERE = {"resize", "negatives"}


@pytest.fixture(autouse=True)
def _one_quiet_thread() -> Iterator[None]:
    threads, log = torch.get_num_threads(), logging.getLogger("torch.__trace")
    torch.set_num_threads(THREADS)
    log.disabled = True
    yield
    log.disabled = False
    torch.set_num_threads(threads)


def configured(name: str, form: Form) -> dict[str, Any]:
    return tiny(name, MODELS[name].tiny, form)


def accepts(name: str, loss: str) -> bool:
    try:
        return bool(MODELS[name].configure({"loss": loss}))
    except UsageError:
        return False


def test_every_choice_of_every_setting_is_a_form() -> None:
    assert set(FORMS) == set(MODELS)
    tried: dict[tuple[type, str], set[Any]] = {}
    for name, forms in FORMS.items():
        spec = MODELS[name]
        configs = [spec.configure(configured(name, form)) for form in forms.values()]
        for config in (spec.configure({}), spec.configure(spec.tiny), *configs):
            for setting in spec.config.model_fields:
                value = getattr(config, setting)
                if isinstance(value, (bool, str)):
                    tried.setdefault((spec.config, setting), set()).add(value)
    for name in FORMS:
        for setting, field in MODELS[name].config.model_fields.items():
            kind = field.annotation
            choices = set(get_args(kind)) if get_origin(kind) is Literal else set()
            if kind is bool:
                choices = {True, False}
            if setting == "loss":
                choices = {loss for loss in ranking_losses() if accepts(name, loss)}
            if setting not in ELSEWHERE:
                missing = choices - tried.get((MODELS[name].config, setting), set())
                assert not missing, f"{name}: no form has {setting} {missing}"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "form"), CASES, ids=[f"{n}: {f}" for n, f in CASES])
def test_each_option_learns_and_is_kept(name: str, form: str, tmp_path: Path) -> None:
    config = configured(name, FORMS[name][form])
    model = build(name, config=config)
    batch = make_batch(model, alike=FORMS[name][form].alike)
    model.begin_stage(model.stages()[0])
    for _ in range(10):  # running statistics that fit the batch
        model.train().loss(batch, model.stages()[0])
    assert_gradients(model, batch)

    batch = unknown_batch(lambda: build(name, config=config), FORMS[name][form].alike)
    model = assert_overfits(lambda: build(name, config=config), batch).eval()
    street, shop = model.encode_street(batch.street), model.encode_shop(batch.shop, batch.tags)
    assert street.embedding.shape == (B, model.embedding_dim)
    assert shop.embedding.shape == (M, model.embedding_dim)
    for embedding in (street.embedding, shop.embedding):
        assert embedding.isfinite().all()
        torch.testing.assert_close(embedding.norm(dim=1), torch.ones(len(embedding)))
    assert (shop.norm > 0).all()
    assert (street.local is not None) == model.reranks
    assert (shop.attention is not None) <= model.uses_tags

    save_file(model.state_dict(), tmp_path / "state.safetensors")
    other = build(name, seed=9, config=config).eval()
    other.load_state_dict(load_file(tmp_path / "state.safetensors"), strict=True)
    again = other.encode_shop(batch.shop, batch.tags).embedding
    assert torch.equal(again, shop.embedding)


GRAPHS = [(n, f) for n, f in CASES if FORMS[n][f].graph]


@pytest.mark.parametrize(("name", "form"), GRAPHS, ids=[f"{n}: {f}" for n, f in GRAPHS])
def test_each_option_that_changes_a_graph_exports_it(name: str, form: str, tmp_path: Path) -> None:
    """The shop's graph and the re-ranker's; the street's is made of the same parts."""
    model = build(name, config=configured(name, FORMS[name][form])).eval()
    assert_exports(model, tmp_path, ("shop", "rerank"))
