"""Registries: names declared by the modules of a package, and by installed plug-ins.

Every module of ``package`` without a leading underscore declares a mapping named ``attribute``
(``MODELS``, ``READERS``, ``STORES`` …), so adding a thing is adding one file. A module of another
installed package is read in the same way if an entry point of the registry's ``group`` names it
(docs/plugins.md). Nothing registers itself by a side effect, and no module is imported before a
name is looked up.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Generic, TypeVar

from hemline.errors import UsageError, nearest

T = TypeVar("T")


def current_name(kind: str, name: str, renamed: Mapping[str, str]) -> str:
    """``name``, or its new name, with a warning, where ``renamed`` has one."""
    if name not in renamed:
        return name
    new = renamed[name]
    warnings.warn(f"the {kind} {name!r} is now called {new!r}", FutureWarning, stacklevel=4)
    return new


class Registry(Mapping[str, T], Generic[T]):
    """The named entries of one package and of the plug-ins of one entry-point group.

    A plug-in that can't be loaded is left out, with a warning that names its package.

    Args:
        package: the package whose modules are read.
        attribute: the mapping that they declare.
        kind: the word for an entry in messages.
        group: entry-point group of plug-ins; empty for none.
        beside: other attributes; a module may declare one of these instead.
        required: whether a module must declare something.
        renamed: old name → new name; an old name works and warns.

    Raises:
        UsageError: an unknown name is looked up (the message names the nearest known one), or a
            plug-in declares a name that exists.
        RuntimeError: two modules of ``package`` declare one name, or a module declares none.
    """

    def __init__(
        self,
        package: str,
        attribute: str,
        kind: str,
        *,
        group: str = "",
        beside: tuple[str, ...] = (),
        required: bool = True,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        self.package = package
        self.attribute = attribute
        self.kind = kind
        self.group = group
        self.beside = beside
        self.required = required
        self.renamed = renamed or {}
        self._entries: dict[str, T] | None = None

    def _load(self) -> dict[str, T]:
        if self._entries is None:
            entries: dict[str, T] = {}
            sources: dict[str, str] = {}
            for module in self._modules():
                for name, entry in self._declared(module).items():
                    if name in entries:
                        raise RuntimeError(f"{self.kind} {name!r} is declared twice")
                    entries[name], sources[name] = entry, "hemline"
            for point in entry_points(group=self.group) if self.group else ():
                package = point.dist.name if point.dist else point.value
                for name, entry in self._plugin(point, package).items():
                    if name in entries:
                        raise UsageError(
                            f"the {self.kind} {name!r} is declared by {sources[name]} and by the "
                            f"plug-in {package}; uninstall one of them or rename it"
                        )
                    entries[name], sources[name] = entry, f"the plug-in {package}"
            self._entries = entries
        return self._entries

    def _modules(self) -> Iterator[ModuleType]:
        root = importlib.import_module(self.package)
        for info in pkgutil.iter_modules(root.__path__):
            if not info.name.startswith("_"):
                yield importlib.import_module(f"{self.package}.{info.name}")

    def _declared(self, module: ModuleType) -> Mapping[str, T]:
        declared = getattr(module, self.attribute, None)
        if isinstance(declared, Mapping):
            return declared
        if declared is None and any(hasattr(module, name) for name in self.beside):
            return {}
        if declared is None and not self.required:
            return {}
        raise RuntimeError(
            f"{module.__name__} declares no {self.attribute}; a helper module of {self.package} "
            "has a leading underscore"
        )

    def _plugin(self, point: EntryPoint, package: str) -> Mapping[str, T]:
        """What the module that an entry point names declares; empty, and a warning, on failure."""
        names = " or ".join((self.attribute, *self.beside))
        try:
            module = point.load()
            if not isinstance(module, ModuleType):
                raise TypeError(f"{point.value} is no module")
            if not any(isinstance(getattr(module, n, None), Mapping) for n in names.split(" or ")):
                raise TypeError(f"{point.value} declares no {names}")
            return getattr(module, self.attribute, {})
        except Exception as error:
            warnings.warn(
                f"the plug-in {package} is left out, as its {self.group} {point.name!r} can't be "
                f"loaded: {type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
            return {}

    def __getitem__(self, name: str) -> T:
        entries = self._load()
        name = current_name(self.kind, name, self.renamed)
        try:
            return entries[name]
        except KeyError:
            raise UsageError(f"no {self.kind} {name!r}. {nearest(name, entries)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._load()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._load()))

    def __len__(self) -> int:
        return len(self._load())
