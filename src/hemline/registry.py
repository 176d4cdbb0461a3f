"""A registry reads names from the modules of a package: to add a thing is to add one file.

Every module of ``package`` without a leading underscore declares a mapping named ``attribute``
(``MODELS``, ``READERS``, ``STORES``, ``PROTOCOLS``). Nothing is registered by side effect, and no
module is imported before it is asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from hemline.errors import UsageError, nearest

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """The named things of one package, found in its modules' ``attribute``.

    Raises:
        UsageError: an unknown name is asked for; the message names the nearest known one.
        RuntimeError: two modules declare one name, or a module declares none.
    """

    def __init__(
        self,
        package: str,
        attribute: str,
        kind: str,
        *,
        beside: tuple[str, ...] = (),
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        """``beside``: other attributes, of which a module may declare one instead; ``renamed``:
        an old name → the new one; using the old one warns."""
        self.package = package
        self.attribute = attribute
        self.kind = kind
        self.beside = beside
        self.renamed = renamed or {}
        self._entries: dict[str, T] | None = None

    def _load(self) -> dict[str, T]:
        if self._entries is None:
            entries: dict[str, T] = {}
            root = importlib.import_module(self.package)
            for info in pkgutil.iter_modules(root.__path__):
                if info.name.startswith("_"):
                    continue
                module = importlib.import_module(f"{self.package}.{info.name}")
                declared = getattr(module, self.attribute, None)
                if declared is None and any(hasattr(module, name) for name in self.beside):
                    continue
                if not isinstance(declared, Mapping):
                    raise RuntimeError(
                        f"{module.__name__} declares no {self.attribute}; a helper module of "
                        f"{self.package} has a leading underscore"
                    )
                for name, entry in declared.items():
                    if name in entries:
                        raise RuntimeError(f"{self.kind} {name!r} is declared twice")
                    entries[name] = entry
            self._entries = entries
        return self._entries

    def __getitem__(self, name: str) -> T:
        entries = self._load()
        if name in self.renamed:
            new = self.renamed[name]
            warnings.warn(
                f"the {self.kind} {name!r} is now called {new!r}", FutureWarning, stacklevel=3
            )
            name = new
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
