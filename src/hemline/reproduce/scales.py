"""The scales, and the recipe of a row at each of them.

``paper`` trains a row's recipe as it is. ``bench`` compares what is built on a backbone: every row
has the same images, epochs, optimiser and schedule, and, with ``--weights
mobilenetv2_100=FILE``, the same ImageNet network below it, whose first stages stay as they are.
``smoke`` shows that all parts work together; its figures mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hemline.data.protocol import Crop
from hemline.errors import UsageError
from hemline.reproduce.experiment import Row

if TYPE_CHECKING:
    from hemline.learn.recipe import Recipe

ScaleName = Literal["smoke", "bench", "paper"]


@dataclass(frozen=True)
class Scale:
    """Sizes of the data that is drawn and of a training.

    Attributes:
        products, pixels: of drawn data.
        epochs: of each row, shared among its stages; None: as the recipe has them.
        side: of the network's images at ``bench``.
        seeds: of the trainings.
        label: of every figure.
        settings: of every row's recipe, over all else.
    """

    name: ScaleName
    products: int
    pixels: int
    epochs: int | None
    side: int | None
    seeds: tuple[int, ...]
    label: str
    settings: tuple[str, ...] = ()


SCALES: Mapping[str, Scale] = {
    "smoke": Scale("smoke", 16, 64, 1, None, (0,), "smoke"),
    "bench": Scale("bench", 1000, 160, 8, 96, (0,), "measured here"),
    "paper": Scale("paper", 3000, 256, None, None, (0, 1, 2), "measured here"),
}

#: An ImageNet network for every row at ``bench``, in place of the papers' own.
TRUNK = "mobilenetv2_100"
#: Its parameters in each recipe's model, and the stages of it that stay as they are.
_PLACES = {
    "ynet": "shared", "tagynet": "shared", "ctxynet": "shared", "fashionnet": "lower",
    "triplet_vgg": "lower", "ynet_infonce": "shared", "tagynet_infonce": "shared",
    "ctxynet_infonce": "shared", "siamese": "features.0", "ahbn": "appearance.0",
    "seam": "trunk.network",
}  # fmt: skip
_STILL = ("conv_stem", "bn1", "blocks.0", "blocks.1", "blocks.2")
#: The same for every row at ``bench``.
_COMMON = (
    "batch_size=48", "stages.all.optimizer=adamw", "stages.all.lr=0.0005",
    "stages.all.schedule=cosine", "stages.all.weight_decay=0.01", "stages.all.warmup=0.5",
    "stages.all.clip=5.0", "early_stop.patience=0", "early_stop.metric=recall@20",
    "channels_last=true",
    "data.augment={crop: 0.8, flip: 0.5, brightness: 0.2, contrast: 0.2, saturation: 0.2}",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What decides the recipes of an experiment.

    Attributes:
        scale: with the number of epochs that was asked for.
        crop: of the images; None: as the recipe has it.
        weights: name of a network → file of its weights.
        keep_out: the setting that leaves the protocol's queries and products out of training.
        extra: further settings, as of groceries.
    """

    scale: Scale
    crop: Crop | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)
    keep_out: str = ""
    extra: tuple[str, ...] = ()


def recipe_of(row: Row, seed: int, plan: Plan) -> Recipe:
    """The recipe of a row, without its start.

    Raises:
        UsageError: a setting doesn't fit the recipe.
    """
    from hemline.learn.recipe import Recipe, load

    words = [f"seed={seed}", *_words(row, plan)]
    recipe = load(row.recipe, plan.scale.name, words)
    if not isinstance(recipe, Recipe):
        raise UsageError(f"{row.recipe} is a detector's recipe")
    return _with_given_weights(recipe, plan)


def starts(row: Row, plan: Plan) -> Row | None:
    """The row that this one starts from at the scale."""
    return row.start if row.start_always or plan.scale.name != "paper" else None


def _words(row: Row, plan: Plan) -> list[str]:
    scale = plan.scale
    words = list(row.settings)
    if scale.name == "paper":
        words += row.paper
    if scale.name == "bench":
        words = [*_COMMON, f"model.config.size={scale.side}", *_trunk(row, plan), *words]
        if row.recipe == "ahbn":
            words.append("model.config.location.size=128")
    if scale.epochs is not None:
        words += [
            f"stages.{name}.epochs={max(1, round(share * scale.epochs))}"
            for name, share in row.stages.items()
        ]
    if plan.crop is not None:
        words.append(f"data.crop={'box' if plan.crop == 'box' else 'none'}")
    if plan.keep_out:
        words.append(plan.keep_out)
    return [*words, *plan.extra, *scale.settings]


def _trunk(row: Row, plan: Plan) -> list[str]:
    """The ImageNet network of every row, and the stages of it that stay."""
    own = any(word.startswith("model.config.backbone") for word in row.settings)
    if TRUNK not in plan.weights or row.recipe not in _PLACES or own:
        return []
    place = _PLACES[row.recipe]
    cut = "" if row.recipe == "seam" else ", cut: blocks.4, end: blocks.6"
    joint = "." if row.recipe == "seam" else "_"
    still = ", ".join(f"{place}.{name.replace('.', joint)}: 0.0" for name in _STILL)
    return [
        f"model.config.backbone={{name: {TRUNK}, weights: {plan.weights[TRUNK]}, pad_type: same, "
        f"freeze_bn: true, output_stride: 16{cut}}}",
        f"stages.all.lr_scale={{{still}}}",
    ]


def _with_given_weights(recipe: Recipe, plan: Plan) -> Recipe:
    """At ``paper``, the file given for the network that the recipe's model is built on."""
    from hemline.learn.training.starts import with_weights

    if plan.scale.name != "paper":
        return recipe
    file = plan.weights.get(network_of(recipe))
    return recipe if file is None else with_weights(recipe, str(file))


def network_of(recipe: Recipe) -> str:
    """The name of the network below a recipe's model; DARN's own is NIN's form."""
    from hemline.learn.model import MODELS

    config = MODELS[recipe.model.name].configure(recipe.model.config).model_dump()
    backbone = config.get("backbone")
    if isinstance(backbone, Mapping):
        return str(backbone["name"])
    return str(backbone or ("nin" if recipe.model.name == "darn" else recipe.model.name))
