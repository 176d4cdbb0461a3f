"""Checks of who gets in: keys, the options of ``hemline serve``, kept photos."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from hemline.catalog.read_only import connect_unchanged
from hemline.errors import DamageError
from hemline.service.doctor import shared
from hemline.service.doctor.finding import Finding, failure, fine, warning
from hemline.service.keys import FILE, REQUIRED, Key, read_keys
from hemline.service.settings import Settings, is_loopback
from hemline.service.shop_file import FILE as SHOP_FILE
from hemline.service.shop_file import shop_page

_DAY = 86_400.0
JOURNAL = "journal.sqlite"


def keys(settings: Settings) -> Iterator[Finding]:
    """Where they are kept, and whether there are those that the mode needs.

    Raises:
        UsageError, DatabaseError: they are in a database that can't be asked.
    """
    if settings.database:
        known = shared.keys(settings)
    else:
        path = settings.state / FILE
        try:
            known = list(read_keys(path).values())
        except DamageError as error:
            yield failure("keys", str(error), "put a copy of the file back")
            return
        yield from _file(path)
    yield from _needed(settings, known)


def _needed(settings: Settings, known: list[Key]) -> Iterator[Finding]:
    """Whether there are keys that the mode needs."""
    valid = [key for key in known if key.revoked is None]
    once = bool(known) if settings.database else (settings.state / REQUIRED).exists()
    create = f"'hemline key create {settings.catalog} --scope"
    writes = [key for key in valid if key.scope == "write"]
    if not valid and not settings.public and not settings.local:
        advice = f"{create} read' makes one, or serve with --public"
        yield failure("keys", "others can reach the service, and no key is valid", advice)
    elif not valid and once:
        advice = f"{create} write' makes one; 'hemline key reset' opens a loopback address"
        yield warning("keys", "there was a key, none is valid now, so nobody may change", advice)
    elif not writes and (settings.public or settings.names or not settings.local):
        advice = f"{create} write' makes one, if changes, feedback or /admin are wanted over HTTP"
        yield warning("keys", "no key may write: changes, feedback's export, /admin closed", advice)
    else:
        yield fine("keys", _counted(valid))


def _counted(valid: list[Key]) -> str:
    if not valid:
        return "none, and none is needed on a loopback address"
    scopes = [key.scope for key in valid]
    return f"{scopes.count('read')} that read, {scopes.count('write')} that write"


def _file(path: Path) -> Iterator[Finding]:
    if not path.exists() or os.name == "nt":
        return
    about, folder = path.stat(), path.parent.parent.stat()
    if stat.S_IMODE(about.st_mode) & 0o077:
        found = f"{path} has the mode {stat.S_IMODE(about.st_mode):04o}"
        yield failure("keys", found, f"chmod 600 {path}")
    if about.st_uid != folder.st_uid:
        found = f"{path} has another owner (user {about.st_uid}) than the catalogue"
        yield failure("keys", found, f"chown it to user {folder.st_uid}, as whom the service runs")


def options(settings: Settings) -> Iterator[Finding]:
    """Whether the options of ``hemline serve`` fit together."""
    before = len(settings.proxies) + bool(settings.root_path)
    found = []
    if is_loopback(settings.host) and not settings.names and (settings.public or settings.proxies):
        what = "a proxy, and no name" if settings.proxies else "public, without a name"
        advice = "--name shop.example: a loopback service refuses other names (421)"
        found.append(warning("options", what, advice))
    if is_loopback(settings.host) and settings.names and not settings.proxies:
        advice = "--trusted-proxy 127.0.0.1: else all customers are one address to the rate limit"
        found.append(warning("options", "a name, and no trusted proxy", advice))
    if settings.root_path and not settings.proxies:
        advice = "--trusted-proxy with the address of the proxy that shows the sub-path"
        found.append(warning("options", "a sub-path, and no trusted proxy", advice))
    if not is_loopback(settings.host) and not settings.proxies:
        advice = "put a proxy with TLS in front (docs/deploy.md), and listen at 127.0.0.1"
        found.append(warning("options", f"{settings.host} is reached without TLS", advice))
    yield from found
    yield from _memory(settings)
    if settings.samples is not None and not settings.samples.is_dir():
        yield failure("options", f"{settings.samples} is no folder", "name one with --samples")
    if not found:
        mode = "public" if settings.public else "local" if settings.local else "with keys"
        yield fine("options", mode + (", behind a proxy" if before else ""))


def page(settings: Settings) -> Iterator[Finding]:
    """Whether the shop's settings file can be read.

    Raises:
        UsageError: it can't.
    """
    path = settings.settings_file or settings.catalog / SHOP_FILE
    shop_page(settings.catalog, settings.settings_file)
    yield fine("settings", f"{path} is read" if path.is_file() else "no file; the page is plain")


def _memory(settings: Settings) -> Iterator[Finding]:
    try:
        own = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return
    wanted = settings.memory_share * settings.workers
    if wanted > 0.75 * own:
        found = f"requests may take {wanted >> 20} MiB, the machine has {own >> 20}"
        yield warning("options", found, "--memory with less, or fewer --workers")


def photos(settings: Settings) -> Iterator[Finding]:
    """Query photos that the journal has kept."""
    if settings.database:
        yield from shared.photos(settings)
        return
    path = settings.state / JOURNAL
    if not path.exists():
        yield fine("photos", "none is kept")
        return
    try:
        with closing(connect_unchanged(path)) as db:
            sql = "SELECT COUNT(*), MIN(time), SUM(LENGTH(photo)) FROM searches WHERE photo NOTNULL"
            count, oldest, size = db.execute(sql).fetchone()
            judged = db.execute("SELECT COUNT(*) FROM feedback").fetchone()[0]
    except (sqlite3.Error, OSError) as error:
        advice = "the service sets it aside when it starts; its feedback is in that file"
        yield warning("photos", f"{path} can't be read: {error}", advice)
        return
    if not count:
        yield fine("photos", f"none is kept; feedback on {judged} hits")
        return
    age = (time.time() - oldest) / _DAY
    found = f"{count} kept, {size / 1e6:.1f} MB, the oldest {age:.0f} days old; "
    yield fine("photos", f"{found}feedback on {judged} hits")
