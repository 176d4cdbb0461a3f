"""Runs the service: one process, or several that share a socket and a catalogue."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress

from hemline.catalog.catalog import Catalog
from hemline.errors import DamageError, UsageError
from hemline.service.logs import log, set_up
from hemline.service.server import make_server
from hemline.service.settings import Settings, is_loopback
from hemline.service.state import open_keys
from hemline.service.workers import Around, watch

#: Open files: connections, the catalogue's, and those of uploads.
_FILES = 8192


def check_access(settings: Settings) -> None:
    """
    Raises:
        UsageError: other machines can reach the service, and the catalogue has no valid key.
        DamageError: the keys can't be read.
    """
    for own in settings.each:
        try:
            _check_keys(own)
        except DamageError as error:
            if not settings.shops:
                raise
            log("keys damaged", shop=own.shop, reason=str(error))  # it lets nobody in


def _check_keys(settings: Settings) -> None:
    keys = open_keys(settings).list()
    if settings.public or settings.local:
        return
    if all(key.revoked is not None for key in keys):
        here = f"others can reach {settings.host}" + (" by a proxy" * is_loopback(settings.host))
        raise UsageError(
            f"{here}, and the catalogue has no valid key: make one with 'hemline key create "
            f"{settings.catalog} --scope read', let anybody read with --public, or serve on "
            "127.0.0.1 alone"
        )


def listen(settings: Settings) -> socket.socket:
    """The bound socket.

    Raises:
        UsageError: the address is taken, or isn't this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with ExitStack() as stack:
        try:
            # asyncio sets TCP_NODELAY only on sockets whose protocol is given.
            bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            stack.enter_context(bound)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((settings.host, settings.port))
        except OSError as error:  # taken, of another machine, or without IPv6
            raise UsageError(
                f"can't listen at {settings.host}:{settings.port} ({error.strerror}); "
                "name another with --host and --port"
            ) from None
        bound.set_inheritable(True)
        stack.pop_all()
    return bound


def serve(
    settings: Settings,
    ready: Callable[[str], None] = lambda url: None,
    around: Around = nullcontext,
) -> None:
    """Serves until it is interrupted, then finishes the requests in progress.

    Args:
        settings: of the service.
        ready: called with the service's address when it listens.
        around: a context that each serving process enters.

    Raises:
        UsageError: the address is taken, or other machines can reach it without a key.
        DamageError: the catalogue's keys can't be read.
    """
    check_access(settings)
    _allow_files()
    bound = listen(settings)
    url = address(settings, bound)
    with suppress(KeyboardInterrupt):
        if settings.workers > 1:
            set_up()
            if not settings.shops:
                Catalog.open(settings.catalog).close()  # reports a wrong one here, once
            watch(settings, bound, around, lambda: ready(url))
        else:
            with around():
                set_up()
                server = make_server(settings)
                ready(url)
                server.run(sockets=[bound])


def _allow_files() -> None:
    """Raises this process's limit on open files, which connections count to, where it is low."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def address(settings: Settings, bound: socket.socket) -> str:
    """The address for a browser."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{bound.getsockname()[1]}{settings.root_path}"
