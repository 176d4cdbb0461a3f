"""Runs all checks of ``hemline doctor``; none changes a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hemline.catalog.catalog import Catalog
from hemline.catalog.read_only import read_only
from hemline.errors import HemlineError
from hemline.service.doctor import machine, mode, shared, stored
from hemline.service.doctor.finding import Finding, failure
from hemline.service.settings import Settings


def examine(settings: Settings) -> Iterator[Finding]:
    """Yields what each check found, also of a catalogue that is damaged or missing.

    Args:
        settings: the catalogue, and the options that ``hemline serve`` gets.
    """
    folder = settings.catalog
    yield from _guarded("versions", machine.versions)
    if not folder.is_dir():
        advice = f"'hemline catalog create {folder}' makes one"
        yield failure("catalog", f"{folder} isn't a folder", advice)
        return
    yield from _guarded("permissions", lambda: machine.permissions(folder))
    yield from _guarded("disk", lambda: machine.disk(folder, stored.live_bytes(folder)))
    with read_only():
        yield from _of_catalog(settings)
    if settings.database:
        yield from _guarded(shared.CHECK, lambda: shared.database(settings))
    yield from _guarded("keys", lambda: mode.keys(settings))
    yield from _guarded("options", lambda: mode.options(settings))
    yield from _guarded("settings", lambda: mode.page(settings))
    yield from _guarded("photos", lambda: mode.photos(settings))
    yield from _guarded("backup", lambda: stored.backups(folder))


def _of_catalog(settings: Settings) -> list[Finding]:
    found = stored.opened(settings.catalog)
    if isinstance(found, Finding):
        return [found]
    catalog: Catalog = found
    checks: dict[str, Callable[[Catalog], Iterator[Finding]]] = {
        "database": stored.store,
        "bundle": stored.bundle,
        "search": stored.search,
    }
    with catalog:
        return [
            finding
            for name, check in checks.items()
            for finding in _guarded(name, lambda check=check: check(catalog))  # type: ignore[misc]
        ]


def _guarded(name: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What a check found; one that can't be run is a failure of its own."""
    try:
        return list(check())
    except (HemlineError, OSError) as error:
        return [failure(name, str(error), "mend this first, then run it again")]
