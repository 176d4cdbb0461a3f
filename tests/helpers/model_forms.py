"""Every option of a model that its page in docs/models names, as what is changed of its defaults.

The contract of options (``tests/contracts/test_model_options.py``) builds each in its tiny size,
and the recipes' test (``tests/learn/test_recipes_whole.py``) at each recipe's ``bench``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What does a large backbone's part in a tiny network.
TINY_BACKBONES = {
    "resnet50": "test_resnet",
    "vgg16": "test_efficientnet",
    "vgg19_bn": "test_efficientnet",
    "convnext_tiny": "test_convnext",
    "vit_small_patch16_224": "test_vit",
}


@dataclass(frozen=True)
class Form:
    """A form of a model.

    Attributes:
        changes: of its configuration.
        tiny: what else its tiny size changes.
        graph: whether what is exported differs from the defaults'; a loss alone changes nothing.
        alike: whether a pair's pictures are alike in its test. A tiny network may know such pairs
            before it learns; one that has a part for each domain can learn any.
    """

    changes: Mapping[str, Any]
    tiny: Mapping[str, Any] = field(default_factory=dict)
    graph: bool = True
    alike: bool = True


#: One small hourglass, unless a form says otherwise.
_SMALL = {"ahbn": {"location": {"stacks": 1, "depth": 1}}}
_ALONE = {"branches": "appearance", "attributes": False}

FORMS: Mapping[str, Mapping[str, Form]] = {
    "ahbn": {  # Table I
        "Single-Branch": Form(_ALONE),
        "Single-Branch + Res50": Form({**_ALONE, "backbone": {"name": "resnet50"}}),
        "Single-Branch + Spatial Atten.": Form({**_ALONE, "spatial": True}),
        "Single-Branch + ATTR": Form({"branches": "appearance"}, graph=False),
        "Single-Branch + LM": Form({"branches": "location"}),
        "Two-Branch, heat maps": Form({"maps": "heatmaps", "attention": "none"}),
        "Two-Branch, feature maps": Form({"attention": "none"}),
        "+ BP": Form({"attention": "none", "fusion": "bilinear"}),
        "+ Cat": Form({"attention": "none", "fusion": "concat"}),
        "+ Mul": Form({"attention": "none", "fusion": "product", "width": 16}),
        "+ Sum": Form({"attention": "none", "fusion": "sum", "width": 16}),
        "+ Sepa. Atten.": Form({"attention": "separate"}),
        "smaller maps": Form({"map_size": 4}, {"map_size": 1}),
        "larger maps": Form({"map_size": 16}, {"map_size": 4}),
        "AHBN + Res50": Form({"backbone": {"name": "resnet50"}}, graph=False),
        "AHBN + Softmax": Form({"gate": "softmax"}),
        "no attributes": Form({"attributes": False}, graph=False),
        "no landmarks": Form({"landmarks": False}, {"location": {"stacks": 2}}, graph=False),
    },
    "darn": {  # the ladder
        "AN": Form({"ladder": "an"}),
        "ARN": Form({"ladder": "arn"}, graph=False),
        "DARN": Form({"local": ()}),
        "DARN with Conv5": Form({"local": ("conv5",)}),
        "one attribute": Form({"ladder": "an", "attributes": ("category",)}, graph=False),
        "batch-normalised": Form({"batch_norm": True}, graph=False),
        "local features of unit length": Form({"unit_length": True}, graph=False),
    },
    "fashionnet": {
        "as compared": Form({"gate": False}),
        "TripletVGG": Form({"gate": False, "attributes": False}, graph=False),
        "the original": Form({"gate": True, "backbone": {"name": "vgg16"}}, graph=False),
        "gated, no tags": Form({"gate": True, "attributes": False}, graph=False),
    },
    "siamese": {
        "authors' code": Form({"authors_code": True}, graph=False),
        "squared": Form({"distance": "squared"}, graph=False),
        "semi-hard": Form({"negatives": "semi_hard"}, graph=False),
    },
    "seam": {
        "triplet": Form({"loss": "triplet"}, graph=False, alike=False),
        "proxy_anchor": Form({"loss": "proxy_anchor"}, graph=False),
        "centroid": Form({"loss": "centroid"}, graph=False),
        "convolutions": Form({"backbone": {"name": "convnext_tiny"}}),
        "transformer": Form({"backbone": {"name": "vit_small_patch16_224"}}, graph=False),
        "frozen": Form({"frozen": True}, graph=False),
        "no landmarks": Form({"landmarks": False}, alike=False),
        "no adapters": Form({"adapter": 0}),
        "no attention": Form({"tags": False, "context": False}),
        "inner": Form({"alignment": "inner"}),
    },
    "ynet": {
        "authors' code": Form({"authors_code": True}, graph=False, alike=False),
        "infonce": Form({"loss": "infonce"}, graph=False),
        "centred, projected": Form({"centre": True, "projection": 16}),
        "squared": Form({"distance": "squared"}, graph=False, alike=False),
    },
    "tagynet": {
        "authors' code": Form({"authors_code": True}, graph=False, alike=False),
        "infonce": Form({"loss": "infonce"}, graph=False),
        "centred, projected": Form({"centre": True, "projection": 16}),
    },
    "ctxynet": {
        "authors' code": Form({"authors_code": True}, graph=False, alike=False),
        "infonce": Form({"loss": "infonce"}, graph=False),
        "inner": Form({"alignment": "inner"}, alike=False),
        "frozen shop": Form({"freeze_shop": True}, graph=False, alike=False),
    },
    "yfit": {
        "whole pictures": Form({"street_views": (1.0,), "shop_views": (1.0,)}, alike=False),
        "no foreground": Form({"foreground": False}, alike=False),
        "tuned, with kinds": Form({"tune": True, "fitted": {"rank": 6, "kinds": 2}}, alike=False),
    },
}


def merged(base: Mapping[str, Any], *over: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with changes on top; a mapping is changed key by key."""
    result = dict(base)
    for changes in over:
        for key, value in changes.items():
            held = result.get(key)
            if isinstance(value, Mapping) and isinstance(held, Mapping):
                value = {**held, **value}
            result[key] = value
    return result


def tiny(name: str, base: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """A model's tiny configuration in a form."""
    found = merged(base, _SMALL.get(name, {}), form.changes, form.tiny)
    backbone = found.get("backbone")
    large = backbone.get("name") if isinstance(backbone, Mapping) else None
    if large in TINY_BACKBONES:
        found["backbone"] = TINY_BACKBONES[large]
    return found
