"""Opens a bundle and runs its graphs with ONNX Runtime; `hemline.bundle` has the format."""

from __future__ import annotations

import os
import shutil
import threading
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hemline.bundle import DETECTOR, INFO_FILE, BundleInfo, onnx_runtime, read_info, verify
from hemline.errors import BundleError, NoDetectorError, UsageError
from hemline.files import absolute, durable_folder, open_regular
from hemline.registry import current_name
from hemline.runtime.maps import DomainMaps, read_maps

if TYPE_CHECKING:
    import onnxruntime as ort

#: Old name of a bundle that ships → its name.
RENAMED = {"atelier": "hemline-small"}
#: Most threads of a run; each costs memory even where there is no core for it.
MAX_THREADS = 256
#: The ports that each graph must have: role → (inputs, outputs), see `hemline.bundle`.
_CONTRACT: dict[str, tuple[set[str], set[str]]] = {
    "street": ({"images"}, {"embedding"}),
    "shop": ({"images"}, {"embedding", "norm"}),
    "rerank": ({"local", "contexts"}, {"distance", "weights"}),
    "detector": ({"images"}, {"scores", "boxes", "kinds"}),
}


def shipped_root() -> Path:
    """The folder of the bundles that came with the package."""
    return Path(str(files("hemline"))) / "bundles"


def shipped() -> tuple[str, ...]:
    """Names of the bundles that came with the package."""
    root = shipped_root()
    if not root.is_dir():
        return ()
    return tuple(sorted(p.name for p in root.iterdir() if (p / INFO_FILE).is_file()))


class Bundle:
    """A deployable model: its description, and its graphs, which are loaded on first use.

    Attributes:
        folder: of the bundle.
        info: its ``bundle.json``.
    """

    def __init__(self, folder: Path, info: BundleInfo) -> None:
        self.folder = folder
        self.info = info
        self._sessions: dict[tuple[str, int], ort.InferenceSession] = {}
        self._lock = threading.Lock()
        self._maps: DomainMaps | None = None

    @classmethod
    def open(cls, bundle: str | os.PathLike[str], *, check: bool = True) -> Bundle:
        """Opens a bundle.

        Args:
            bundle: its folder, or the name of one that ships with the package.
            check: whether to read all files and compare them with the fingerprint.

        Raises:
            BundleError: no bundle, or one that is incomplete, damaged or of another format version.
        """
        folder = Path(bundle)
        if not folder.is_dir():
            names = shipped()
            name = current_name("bundle", str(bundle), RENAMED)
            if name not in names:
                known = f"shipped with hemline: {', '.join(names)}" if names else "none is shipped"
                raise BundleError(
                    f"no bundle {name!r}: neither a folder nor a shipped name ({known})"
                )
            folder = shipped_root() / name
        info = read_info(folder)
        for role in ("street", "shop", *(["rerank"] if info.reranks else [])):
            if role not in info.graphs:
                raise BundleError(f"the bundle {folder} names no {role} graph; export it again")
        if check:
            verify(folder, info)
        return cls(folder, info)

    @classmethod
    def default(cls) -> Bundle:
        """The bundle that ships with the package.

        Raises:
            BundleError: none ships, or several do.
        """
        names = shipped()
        if len(names) != 1:
            have = f"several are shipped ({', '.join(names)})" if names else "none is shipped"
            raise BundleError(f"{have}: say which bundle, with --bundle FOLDER or --bundle NAME")
        return cls.open(names[0])

    @property
    def fingerprint(self) -> str:
        return self.info.fingerprint

    @property
    def maps(self) -> DomainMaps | None:
        """The maps of an adapted bundle, read on first use; None for other bundles.

        Raises:
            BundleError: they can't be read, or aren't maps onto the bundle's embedding.
        """
        if self.info.maps is not None and self._maps is None:
            self._maps = read_maps(self.folder / self.info.maps, self.info.embedding_dim)
        return self._maps

    def share_sessions(self, other: Bundle) -> None:
        """Runs the loaded graphs of another copy of this bundle, and loads further ones with it."""
        assert self.fingerprint == other.fingerprint
        self._sessions, self._lock = other._sessions, other._lock

    def session(self, role: str, threads: int | None = None) -> ort.InferenceSession:
        """The session of a graph, loaded on first use and kept.

        Args:
            role: ``street``, ``shop``, ``rerank`` or ``detector``.
            threads: of one run; None leaves it to ONNX Runtime (all cores).

        Raises:
            UsageError: the bundle has no such graph.
            BundleError: the graph can't be loaded, or lacks an input or output.
        """
        if role not in self.info.graphs:
            have = ", ".join(sorted(self.info.graphs))
            raise UsageError(f"the bundle {self.info.name} has no {role} graph; it has {have}")
        key = (role, threads or 0)
        with self._lock:
            if key not in self._sessions:
                self._sessions[key] = self._load(role, threads or 0)
            return self._sessions[key]

    def _load(self, role: str, threads: int) -> ort.InferenceSession:
        ort = onnx_runtime()
        options: Any = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Spinning threads take the cores that other requests need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = self.folder / self.info.graphs[role]
        try:
            session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has no common error class of its own
            reason = str(error).splitlines()[0]
            raise BundleError(
                f"the {role} graph {path} can't be loaded ({reason}); "
                "copy or export the bundle again"
            ) from None
        inputs, outputs = _CONTRACT.get(role, (set(), set()))
        lacking = (inputs - {i.name for i in session.get_inputs()}) | (
            outputs - {o.name for o in session.get_outputs()}
        )
        if lacking:
            raise BundleError(
                f"the {role} graph {path} lacks {', '.join(sorted(lacking))}; "
                "it wasn't written by 'hemline export'"
            )
        self._check_shapes(role, path, session)
        return session

    def _check_shapes(self, role: str, path: Path, session: ort.InferenceSession) -> None:
        """Compares the graph's fixed dimensions with ``bundle.json``; free ones are strings."""
        side, dim = self.info.preprocessing.size, self.info.embedding_dim
        if role == DETECTOR and self.info.detector is not None:
            side = self.info.detector.heads.preprocessing.size
        expected = {
            "images": (None, 3, side, side),
            "tags": (None, len(self.info.vocabulary)),
            "embedding": (None, dim),
            "contexts": (None, dim),
        }
        if self.maps is not None:
            given = (
                "features" if "features" in {o.name for o in session.get_outputs()} else "embedding"
            )
            expected |= {"embedding": (None, None), given: (None, self.maps.street_weight.shape[1])}
        for port in (*session.get_inputs(), *session.get_outputs()):
            want = expected.get(port.name, port.shape)
            clash = len(want) != len(port.shape) or any(
                isinstance(have, int) and size is not None and have != size
                for have, size in zip(port.shape, want, strict=True)
            )
            if clash:
                shape = ", ".join(str(s) for s in port.shape)
                raise BundleError(
                    f"the {role} graph {path} has {port.name} ({shape}), not what {INFO_FILE} "
                    "says; export the bundle again"
                )

    def copy_to(self, folder: str | os.PathLike[str]) -> Bundle:
        """Copies the bundle's files to a new ``folder``, which appears as a whole or not at all.

        Raises:
            UsageError: ``folder`` exists.
            BundleError: a file is a link that leads out of the bundle, or is no regular file.
            OSError: a file can't be read or written.
        """
        target = Path(folder)
        if target.exists():
            raise UsageError(f"{target} is already there; name a new folder for the bundle")
        with durable_folder(target) as temporary:
            for name in sorted(os.listdir(self.folder)):
                if not (self.folder / name).is_dir():  # a bundle has no folders
                    _copy_file(self.folder, name, temporary / name)
        return Bundle(target, self.info)


def _copy_file(folder: Path, name: str, target: Path) -> None:
    """Copies a file of a bundle, whose maker may not be trusted with the other files here."""
    if not absolute(folder / name).is_relative_to(absolute(folder)):
        raise BundleError(
            f"{folder / name} is a link that leads out of the bundle; put the file in its place"
        )
    try:
        source = open_regular(folder / name)
    except OSError as error:
        raise BundleError(f"{folder / name} can't be copied: {error.strerror}") from None
    with source, target.open("xb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)


def detector_bundle(bundle: str | os.PathLike[str]) -> Path:
    """The folder of a bundle that has a detector, by its folder or the name of one that ships.

    Raises:
        NoDetectorError: it has none.
        BundleError: no such bundle.
    """
    found = Bundle.open(bundle, check=False)
    if found.info.detector is None:
        raise NoDetectorError(
            f"the bundle {bundle} has no detector; take one that does, such as "
            f"{', '.join(shipped())}"
        )
    return found.folder


def check_threads(threads: int | None) -> None:
    """
    Raises:
        UsageError: not from 1 to `MAX_THREADS`, and not None.
    """
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise UsageError(f"threads are from 1 to {MAX_THREADS}, not {threads}")
