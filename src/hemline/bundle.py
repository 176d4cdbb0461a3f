"""The format of a bundle, the only artefact that passes from training to search.

A folder with ``bundle.json`` (a `BundleInfo`), ``street.onnx``, ``shop.onnx``, optionally
``rerank.onnx`` and ``detector.onnx``, shared weights in ``weights.bin`` (ONNX external data), and a
model card ``README.md``. `hemline.learn.export.run` writes it, `hemline.runtime.bundle` runs it.

Inputs and outputs of the graphs by name (``weights`` is the attention over locations):

========== ======================================== =============================================
graph      in                                       out
========== ======================================== =============================================
street     images (B,3,S,S)                         embedding (B,D); local (B,C,L) if re-ranking
shop       images (B,3,S,S); tags (B,T) if used     embedding (B,D); norm (B,); weights (B,L)
rerank     local (C,L); contexts (K,C)              distance (K,); weights (K,L)
detector   images (B,3,S,S)                         scores, boxes, kinds: `data.detector_outputs`
========== ======================================== =============================================

The detector has a fingerprint of its own: it can be added or replaced, and catalogues made with the
bundle stay valid.

An adapted bundle also has ``maps.npz``: a linear map for each domain and perhaps a querybank, which
the encoder applies to the towers' ``features`` (B,F), pooled layers and the embedding, or to their
embedding where they have no such output (`hemline.runtime.maps`). Its format version is 2, so that
an earlier hemline, which would leave the maps out, refuses it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hemline.data.detector_outputs import Heads
from hemline.data.preprocess import Preprocessing
from hemline.documents import CHECKSUM, checksum, write_document
from hemline.errors import BundleError, NoDetectorError
from hemline.files import read_regular
from hemline.parsing import parse_json
from hemline.ranking.merge import RERANK_TOP

FORMAT_VERSION = 1
#: Of a bundle with maps.
MAPPED_VERSION = 2
INFO_FILE = "bundle.json"
WEIGHTS_FILE = "weights.bin"
MAPS_FILE = "maps.npz"
#: The role of the graph that changes no embedding.
DETECTOR = "detector"


def onnx_runtime() -> Any:
    """The module ``onnxruntime``, which writes and sends no telemetry.

    Version 1.31 does by default, on Linux too: it reads ``ORT_DISABLE_TELEMETRY`` when it is
    imported, and keeps a device's number and a database in the user's cache.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


class DetectorInfo(BaseModel):
    """The detector of a bundle.

    Attributes:
        name: of its recipe.
        heads: its input, its kinds of garment, and how boxes are read from its outputs.
        precision, precision_loss, training, quality: as the bundle's.
        fingerprint: of its graph and of ``heads``.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    summary: str = ""
    heads: Heads
    precision: str = Field(default="float32", pattern="^(float32|float16|int8)$")
    precision_loss: dict[str, float] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    quality: list[dict[str, Any]] = Field(default_factory=list)
    fingerprint: str = ""


class ScoreThresholds(BaseModel):
    """The least scores of a hit that is called the same item, or a similar one.

    Attributes:
        same, similar: least scores; a hit below ``similar`` is called different.
        precision: measured share (0-1) of right hits at or above either.
        data: on what they were measured (`hemline.evaluation.calibrate`).
    """

    model_config = ConfigDict(extra="forbid")

    same: float
    similar: float
    precision: dict[str, float] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)


class BundleInfo(BaseModel):
    """``bundle.json``.

    Attributes:
        format_version: of this schema, 2 with maps; another one is refused.
        name: the model's registered name.
        embedding_dim: D, after the maps.
        grid: (rows, columns) of the local features' locations, rows × columns = L, or None.
        preprocessing: how an image becomes a tensor.
        distance: between L2-normalised embeddings.
        vocabulary: the tags in the order of the shop graph's ``tags``.
        uses_tags: whether the shop graph reads tags.
        reranks: whether there is a ``rerank`` graph.
        rerank_top: number of first hits that are re-ranked.
        graphs: role → file name.
        precision: of the stored weights.
        precision_loss: largest differences from the float32 model in torch.
        training: recipe, seed, data fingerprint, versions and machine.
        quality: measured figures, each with its protocol.
        fingerprint: of the graphs and of all else that changes an embedding.
        detector: of garments, or None.
        alike: thresholds of scores, or None where they weren't measured.
        maps: the file of the domains' maps, or None.
    """

    model_config = ConfigDict(extra="forbid")

    format_version: int = FORMAT_VERSION
    name: str
    summary: str = ""
    embedding_dim: int = Field(ge=1)
    grid: tuple[int, int] | None = None
    preprocessing: Preprocessing
    distance: str = Field(default="euclidean", pattern="^euclidean$")
    vocabulary: tuple[str, ...] = ()
    uses_tags: bool = False
    reranks: bool = False
    rerank_top: int = Field(default=RERANK_TOP, ge=1)
    graphs: dict[str, str]
    precision: str = Field(default="float32", pattern="^(float32|float16|int8)$")
    precision_loss: dict[str, float] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    quality: list[dict[str, Any]] = Field(default_factory=list)
    fingerprint: str = ""
    detector: DetectorInfo | None = None
    alike: ScoreThresholds | None = None
    maps: str | None = Field(default=None, pattern=f"^{re.escape(MAPS_FILE)}$")


def fingerprint(folder: Path, info: BundleInfo) -> str:
    """Hash of all that changes an embedding: graphs but the detector's, weights, maps and
    preprocessing."""
    digest = hashlib.sha256()
    names = sorted(name for role, name in info.graphs.items() if role != DETECTOR)
    if (folder / WEIGHTS_FILE).exists():
        names.append(WEIGHTS_FILE)
    if info.maps is not None:
        names.append(info.maps)
    for name in names:
        digest.update(name.encode())
        digest.update(hashlib.sha256(read_regular(folder / name)).digest())
    changes = {
        "preprocessing": info.preprocessing.described(),
        "vocabulary": list(info.vocabulary),
        "distance": info.distance,
    }
    digest.update(json.dumps(changes, sort_keys=True).encode())
    return digest.hexdigest()[:32]


def take_detector(folder: Path, info: BundleInfo, source: Path) -> BundleInfo:
    """Copies the detector of the bundle ``source`` into a new bundle, in place of any it has.

    Args:
        folder: of the new bundle, before `write_info`.
        info: its description so far.
        source: the other bundle's folder.

    Raises:
        NoDetectorError: it has none.
        BundleError: it is no bundle, or a damaged one.
    """
    other = read_info(source)
    verify(source, other)
    if other.detector is None:
        raise NoDetectorError(
            f"the bundle {source} has no detector; take one that does, such as hemline-small"
        )
    if DETECTOR in info.graphs:
        (folder / info.graphs[DETECTOR]).unlink()
    shutil.copyfile(source / other.graphs[DETECTOR], folder / f"{DETECTOR}.onnx")
    graphs = {**info.graphs, DETECTOR: f"{DETECTOR}.onnx"}
    return info.model_copy(update={"graphs": graphs, "detector": other.detector})


def detector_fingerprint(folder: Path, info: BundleInfo) -> str:
    """Hash of the detector's graph and of its settings; empty where there is none."""
    if info.detector is None:
        return ""
    digest = hashlib.sha256(read_regular(folder / info.graphs[DETECTOR]))
    heads = info.detector.heads.model_dump(mode="json")
    heads["preprocessing"] = info.detector.heads.preprocessing.described()
    digest.update(json.dumps(heads, sort_keys=True).encode())
    return digest.hexdigest()[:32]


def write_info(folder: Path, info: BundleInfo) -> BundleInfo:
    """Writes ``bundle.json`` with its fingerprints, after all other files of the bundle."""
    detector = info.detector
    if detector is not None:
        own = {"fingerprint": detector_fingerprint(folder, info)}
        detector = detector.model_copy(update=own)
    changes = {
        "format_version": FORMAT_VERSION if info.maps is None else MAPPED_VERSION,
        "fingerprint": fingerprint(folder, info),
        "detector": detector,
    }
    info = info.model_copy(update=changes)
    # Without maps there is no such key: an earlier hemline refuses keys that it doesn't know.
    left_out = {"maps"} if info.maps is None else set()
    write_document(folder / INFO_FILE, info.model_dump(mode="json", exclude=left_out))
    return info


def read_info(folder: Path) -> BundleInfo:
    """Reads and checks ``bundle.json``; `verify` also checks the graphs.

    Raises:
        BundleError: no bundle there, a damaged one, or one of another format version.
    """
    path = folder / INFO_FILE
    if not path.is_file():
        raise BundleError(
            f"{folder} is no bundle: it has no {INFO_FILE}. "
            "'hemline export RUN -o BUNDLE' makes one"
        )
    try:
        raw = parse_json(read_regular(path).decode())
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} can't be read: {error}") from None
    if not isinstance(raw, dict) or "format_version" not in raw:
        raise BundleError(f"{path} is not a bundle's description: it names no format_version")
    version = raw["format_version"]
    if version not in (FORMAT_VERSION, MAPPED_VERSION):
        raise BundleError(
            f"{folder} is a bundle of format version {version}, "
            f"this hemline reads {FORMAT_VERSION} and {MAPPED_VERSION}; export it again from its "
            "run with this hemline"
        )
    stored = raw.pop(CHECKSUM, None)  # that of an earlier version has none
    try:
        info = BundleInfo.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{path}: {where}: {first['msg']}") from None
    for name in info.graphs.values():
        if Path(name).name != name:
            raise BundleError(f"{path}: a graph is a file of the bundle's folder, not {name!r}")
    if (info.detector is None) != (DETECTOR not in info.graphs):
        raise BundleError(
            f"{path}: a detector has a graph and a description, and one of them is missing; "
            "export it again"
        )
    files = [*info.graphs.values(), *([] if info.maps is None else [info.maps])]
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise BundleError(f"the bundle {folder} lacks {', '.join(missing)}; copy it whole")
    if stored is not None and stored != checksum(raw):
        raise BundleError(f"{path} is damaged: its checksum is another one; copy it again")
    return info


def verify(folder: Path, info: BundleInfo) -> None:
    """Raises BundleError if the files of a bundle are not those of its fingerprint."""
    of_detector = "" if info.detector is None else info.detector.fingerprint
    same = fingerprint(folder, info) == info.fingerprint
    if not same or detector_fingerprint(folder, info) != of_detector:
        raise BundleError(
            f"the files of the bundle {folder} are not those it was written with; copy it again"
        )
