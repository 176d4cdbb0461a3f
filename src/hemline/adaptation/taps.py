"""Pooled layers of a bundle's towers as a further output of its graphs, written without ``onnx``.

Maps fitted on several layers find more than maps on the last embedding alone. A serialised graph
can be extended without parsing it whole: Protocol Buffers merge the parts of a message that is
written twice, so nodes and outputs are appended to the file.
Source: https://protobuf.dev/programming-guides/encoding/ (last one wins, and merging), and ONNX's
``onnx.proto`` for the numbers of the fields.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hemline.bundle import onnx_runtime
from hemline.errors import BundleError
from hemline.runtime.bundle import Bundle

#: Most layers that are pooled: the last ones.
MOST_LAYERS = 6
#: Name of the output.
FEATURES = "features"
_TOWERS = ("street", "shop")
#: Last operations among which the last activation is looked for: maps and banks may follow it.
_TAIL = 48
#: Operations whose results are activations.
_ACTIVE = {"Conv", "Relu", "Clip", "Mul", "Add", "HardSwish", "LeakyRelu", "PRelu", "Gelu"}
# Fields of ONNX messages.
_GRAPH, _NODE, _OUTPUT = 7, 1, 12
_IN, _OUT, _NAME, _OP, _ATTRIBUTE = 1, 2, 3, 4, 5


class Node(NamedTuple):
    """One operation of a graph, by its names."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Layer(NamedTuple):
    """An activation (B, C, H, W) of a graph."""

    name: str
    channels: int


@contextlib.contextmanager
def with_features(bundle: Bundle) -> Iterator[tuple[Bundle, tuple[int, ...]]]:
    """A temporary copy of a bundle whose towers also output ``features`` (B, F), with the parts of
    F: the pooled layers, then the embedding.

    Where there are no layers to pool, and where the towers have features already, it is the bundle
    itself; without features there are no parts.
    """
    have = {role: _output(bundle, role, FEATURES) for role in _TOWERS}
    if all(have.values()):
        yield bundle, tuple(bundle.info.training["adapted"]["features"])
        return
    with tempfile.TemporaryDirectory(prefix="hemline-adapt-") as place:
        copy = Path(place) / "bundle"
        shutil.copytree(bundle.folder, copy)
        own = _output(bundle, "street", "embedding")
        raw = Bundle(copy, bundle.info.model_copy(update={"maps": None, "embedding_dim": own}))
        files = [copy / bundle.info.graphs[role] for role in _TOWERS]
        towers = [_layers(file, bundle) for file in files]
        sizes = tuple(layer.channels for layer in towers[0])
        if not sizes or sizes != tuple(layer.channels for layer in towers[1]):
            yield bundle, ()
            return
        for file, layers in zip(files, towers, strict=True):
            file.write_bytes(_pooled(file.read_bytes(), [layer.name for layer in layers]))
        yield raw, (*sizes, own)


def _output(bundle: Bundle, role: str, name: str) -> int:
    """The width of an output of a graph; 0 where it has none of this name."""
    session = bundle.session(role)
    shapes = {port.name: port.shape for port in session.get_outputs()}
    if name not in shapes:
        return 0
    width = shapes[name][-1]
    return width if isinstance(width, int) else bundle.info.embedding_dim


def _layers(file: Path, bundle: Bundle) -> list[Layer]:
    """The layers to pool: the last sum of each shape (the stages of a residual network), and the
    last activation; in a network without sums the last activation of each size."""
    graph = file.read_bytes()
    nodes = list(read_nodes(graph))
    sums = [n.outputs[0] for n in nodes if n.op == "Add"]
    active = [n.outputs[0] for n in nodes if n.op in _ACTIVE]
    names = dict.fromkeys([*(sums or active[:-_TAIL]), *active[-_TAIL:]])
    found = _shapes(file, graph, list(names), bundle)
    stages: dict[tuple[int, ...], Layer] = {}
    last = next(reversed(found), "")
    for name, shape in found.items():
        if not sums or name in sums or name == last:
            key = shape if sums else shape[2:]
            stages.pop(key, None)  # the last of each, in the order of the last ones
            stages[key] = Layer(name, shape[1])
    return list(stages.values())[-MOST_LAYERS:]


def _shapes(
    file: Path, graph: bytes, names: Sequence[str], bundle: Bundle
) -> dict[str, tuple[int, ...]]:
    """(1, C, H, W) of those names that are float activations over several locations."""
    ort = onnx_runtime()
    outputs = b"".join(_field(_OUTPUT, _field(1, name.encode())) for name in names)
    file.write_bytes(graph + _field(_GRAPH, outputs))
    try:
        session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        size = bundle.info.preprocessing.size
        feed: dict[str, Any] = {"images": np.zeros((1, 3, size, size), np.float32)}
        if "tags" in {port.name for port in session.get_inputs()}:
            feed["tags"] = np.zeros((1, len(bundle.info.vocabulary)), np.float32)
        types = {port.name: port.type for port in session.get_outputs()}
        wanted = [name for name in names if types.get(name) == "tensor(float)"]
        shapes = {n: v.shape for n, v in zip(wanted, session.run(wanted, feed), strict=True)}
    except Exception:  # ONNX Runtime has no common error class; the embedding remains
        return {}
    finally:
        file.write_bytes(graph)
    return {n: s for n, s in shapes.items() if len(s) == 4 and s[0] == 1 and s[2] * s[3] > 1}


def _pooled(graph: bytes, names: Sequence[str]) -> bytes:
    """The graph with a further output: the means of these activations over all locations, one after
    another, then the embedding."""
    added, parts = b"", []
    for number, name in enumerate(names):
        mean, flat = f"{FEATURES}_mean_{number}", f"{FEATURES}_{number}"
        added += _field(_NODE, _node("GlobalAveragePool", [name], mean))
        added += _field(_NODE, _node("Flatten", [mean], flat, axis=1))
        parts.append(flat)
    added += _field(_NODE, _node("Concat", [*parts, "embedding"], FEATURES, axis=1))
    return graph + _field(_GRAPH, added + _field(_OUTPUT, _field(1, FEATURES.encode())))


def _node(op: str, inputs: Sequence[str], output: str, **numbers: int) -> bytes:
    """A NodeProto with attributes that are integers."""
    node = b"".join(_field(_IN, name.encode()) for name in inputs)
    node += _field(_OUT, output.encode()) + _field(_NAME, output.encode())
    node += _field(_OP, op.encode())
    for name, value in numbers.items():
        attribute = _field(1, name.encode()) + _key(3, 0) + _varint(value)
        node += _field(_ATTRIBUTE, attribute + _key(20, 0) + _varint(2))  # 2: an integer
    return node


def read_nodes(model: bytes) -> Iterator[Node]:
    """The nodes of a serialised ONNX model, in their order.

    Raises:
        BundleError: it isn't one.
    """
    try:
        for number, graph in _messages(model):
            if number != _GRAPH:
                continue
            for field, node in _messages(graph):
                if field == _NODE:
                    texts: dict[int, list[str]] = {_IN: [], _OUT: [], _OP: []}
                    for own, text in _messages(node):
                        if own in texts:
                            texts[own].append(bytes(text).decode())
                    yield Node(texts[_OP][0], tuple(texts[_IN]), tuple(texts[_OUT]))
    except (IndexError, ValueError) as error:
        raise BundleError(
            f"the graph isn't an ONNX model ({error}); export the bundle again"
        ) from None


def _messages(data: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
    """The length-delimited fields of a Protocol Buffers message; numbers are passed over."""
    view, place = memoryview(data), 0
    while place < len(view):
        key, place = _read_varint(view, place)
        kind = key & 7
        if kind == 2:
            length, place = _read_varint(view, place)
            if place + length > len(view):
                raise ValueError("it ends early")
            yield key >> 3, view[place : place + length]
            place += length
        elif kind == 0:
            _, place = _read_varint(view, place)
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of type {kind}")


def _read_varint(view: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _key(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _field(number: int, content: bytes) -> bytes:
    return _key(number, 2) + _varint(len(content)) + content
