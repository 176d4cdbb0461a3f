"""The systems of the four papers, their ablations and the baselines, each as settings of a recipe.

One trunk for all that allow it, an ImageNet MobileNetV2 (``weights/`` in HEMLINE_SHARED), since the
papers' own ImageNet weights can't be had: it stands in for VGG, Inception-ResNet-v2 and ResNet-50.
DARN's networks are NINs, and start from one that was trained here on garment categories alone: it
stands in for ImageNet's NIN.
"""

from __future__ import annotations

from dataclasses import dataclass

from _shared import IMAGENET

#: The stand-in for every ImageNet trunk.
_PLAIN = f"name: mobilenetv2_100, weights: {IMAGENET}, pad_type: same, freeze_bn: true"
TRUNK = f"model.config.backbone={{{_PLAIN}, output_stride: 16, cut: blocks.4, end: blocks.6}}"
#: Its parameters in each recipe's model, and the stages of it that stay as they are (``fast``).
PLACES = {
    "ynet": "shared", "tagynet": "shared", "ctxynet": "shared", "fashionnet": "lower",
    "ynet_infonce": "shared", "tagynet_infonce": "shared", "ctxynet_infonce": "shared",
    "siamese": "features.0", "ahbn": "appearance.0", "seam": "trunk.network",
}  # fmt: skip
STILL = ("conv_stem", "bn1", "blocks.0", "blocks.1", "blocks.2")
#: A smaller one, where a row of Table I asks for another backbone; from nothing.
OTHER = "model.config.backbone={name: resnet18, output_stride: 16}"


@dataclass(frozen=True, slots=True)
class System:
    """A row of the table.

    Attributes:
        name: of the row.
        paper: whose it is, or whose baseline.
        recipe: that ships.
        settings: over the recipe's ``bench`` scale.
        stages: each stage's share of the epochs.
        start: the system whose trained network this one starts from; that of the first seed.
        main: one of the dozen that are measured with several seeds.
        landmarks: it needs them; without, the row is not applicable.
        attributes: it needs garment attributes.
    """

    name: str
    paper: str
    recipe: str
    settings: tuple[str, ...]
    stages: dict[str, float]
    main: bool = False
    landmarks: bool = False
    attributes: bool = False
    start: str = ""


#: Stands in for the NIN that learned from ImageNet's million pictures: garment categories, longer.
NIN = "NIN, categories"


def frozen(system: System) -> str:
    """The setting that leaves the first stages of the ImageNet trunk as they are: a CPU then spends
    a third of the time. Networks from nothing learn whole."""
    if system.recipe not in PLACES or OTHER in system.settings:
        return ""
    joint = "." if system.recipe == "seam" else "_"
    names = [f"{PLACES[system.recipe]}.{name.replace('.', joint)}" for name in STILL]
    return f"stages.all.lr_scale={{{', '.join(f'{name}: 0.0' for name in names)}}}"


def _darn(name: str, *settings: str, main: bool = False, attributes: bool = True) -> System:
    return System(
        name, "DARN", "darn", settings, {"Network": 1.0}, main, attributes=attributes, start=NIN
    )


#: Its two branches, each taught by itself, once for all rows that join the two.
TAUGHT = "AHBN, before joining"


def _ahbn(name: str, *settings: str, main: bool = False) -> System:
    skip = ("stages.attributes.skip=true", "stages.landmarks.skip=true")
    own = (TRUNK, *settings, *skip)
    return System(name, "AHBN", "ahbn", own, {"joint": 0.75}, main, True, True, TAUGHT)


def _single(
    name: str,
    *settings: str,
    branch: str = "appearance",
    taught: str = "",
    main: bool = False,
) -> System:
    stages = {"joint": 0.75, taught: 0.25} if taught else {"joint": 1.0}
    backbone = () if OTHER in settings else (TRUNK,)
    own = (*backbone, f"model.config.branches={branch}", *settings)
    landmarks, attributes = taught == "landmarks", taught == "attributes"
    if not attributes:
        own = (*own, "model.config.attributes=false")
    return System(name, "AHBN", "ahbn", own, stages, main, landmarks, attributes)


def _seam(name: str, *settings: str, main: bool = False) -> System:
    trunk = f"model.config.backbone={{{_PLAIN}, output_stride: 16}}"
    stages = {"join": 0.5, "tags": 0.25, "context": 0.25}
    return System(name, "ours", "seam", (trunk, *settings), stages, main, False, False)


SYSTEMS: tuple[System, ...] = (
    System(
        NIN, "DARN", "darn", ("model.config.ladder=an", "model.config.attributes=[category]"),
        {"Network": 3.0},
    ),
    _darn("AN", "model.config.ladder=an", main=True),
    _darn("ARN", "model.config.ladder=arn", main=True),
    _darn("DARN", "model.config.local=[]"),
    _darn("DARN with Conv5", "model.config.local=[conv5]"),
    _darn("DARN with Conv4-5", main=True),
    _darn("TripletNIN", "model.config.attribute_weight=0", main=True, attributes=False),
    System("YNet", "YNet", "ynet", (TRUNK,), {"YNet": 1.0}, main=True),
    System(
        "TagYNet", "YNet", "tagynet", (TRUNK,), {"YNet": 0.5, "TagYNet": 0.5}, main=True,
        attributes=True,
    ),
    System(
        "CtxYNet", "YNet", "ctxynet", (TRUNK,),
        {"YNet": 0.5, "TagYNet": 0.25, "CtxYNet": 0.25}, main=True, attributes=True,
    ),
    System("YNet, InfoNCE", "ours", "ynet_infonce", (TRUNK,), {"YNet": 1.0}, main=True),
    System(
        "TagYNet, InfoNCE", "ours", "tagynet_infonce", (TRUNK,), {"YNet": 0.5, "TagYNet": 0.5},
        main=True, attributes=True,
    ),
    System(
        "CtxYNet, InfoNCE", "ours", "ctxynet_infonce", (TRUNK,),
        {"YNet": 0.5, "TagYNet": 0.25, "CtxYNet": 0.25}, main=True, attributes=True,
    ),
    System("FashionNet", "DeepFashion", "fashionnet", (TRUNK,), {"joint": 1.0}, main=True,
           attributes=True),
    System("FashionNet, gated", "DeepFashion", "fashionnet", (TRUNK, "model.config.gate=true"),
           {"landmarks": 0.25, "joint": 0.75}, landmarks=True, attributes=True),
    System("TripletVGG", "YNet", "fashionnet", (TRUNK, "model.config.attributes=false"),
           {"joint": 1.0}),
    System("Siamese", "Siamese", "siamese", (TRUNK,), {"Siamese": 1.0}, main=True),
    _single("single branch", main=True),
    _single("single + other backbone", OTHER),
    _single("single + spatial", "model.config.spatial=true"),
    _single("single + ATTR", taught="attributes"),
    _single("single + LM", branch="location", taught="landmarks"),
    System(
        TAUGHT, "AHBN", "ahbn", (TRUNK, "stages.joint.skip=true"),
        {"attributes": 0.25, "landmarks": 0.25}, landmarks=True, attributes=True,
    ),
    _ahbn("two, heat maps", "model.config.maps=heatmaps", "model.config.attention=none"),
    _ahbn("two, features", "model.config.attention=none"),
    _ahbn("two + BP", "model.config.attention=none", "model.config.fusion=bilinear"),
    _ahbn("two + Cat", "model.config.attention=none", "model.config.fusion=concat"),
    _ahbn("two + Mul", "model.config.attention=none", "model.config.fusion=product"),
    _ahbn("two + Sum", "model.config.attention=none", "model.config.fusion=sum"),
    _ahbn("two + separate attention", "model.config.attention=separate"),
    _ahbn("AHBN, smaller maps", "model.config.map_size=3"),
    _ahbn("AHBN, larger maps", "model.config.map_size=14"),
    System(
        "AHBN, other backbone", "AHBN", "ahbn", (OTHER,),
        {"attributes": 0.25, "landmarks": 0.25, "joint": 0.75}, landmarks=True, attributes=True,
    ),
    _ahbn("AHBN, softmax", "model.config.gate=softmax"),
    _ahbn("AHBN", main=True),
    _seam("Seam", main=True),
    _seam("Seam, triplet", "model.config.loss=triplet"),
    _seam(  # the proxy-anchor paper's rates
        "Seam, proxy anchor", "model.config.loss=proxy_anchor", "stages.all.lr=0.0001",
        "stages.all.lr_scale.items=100",
    ),
    _seam("Seam, centroid", "model.config.loss=centroid"),
    _seam("Seam, frozen trunk", "model.config.frozen=true"),
    _seam("Seam, no landmarks", "model.config.landmarks=false"),
)  # fmt: skip
