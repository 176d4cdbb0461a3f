"""A connection: uvicorn's HTTP/1.1, with an end to everything that a client may delay.

A request's head must arrive in time, and an answer must be read in time. A client that has left
ends the work for its request. Slow bodies are the `Guard`'s. The parser, httptools, has no bounds
of its own: what it collects without handing anything on is counted here.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, ClassVar

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from hemline.service.front import network_of, plain
from hemline.service.problems import Problem
from hemline.service.turns import Turns

#: Most connections; most of one address (of IPv6: one network), so that one client can't have all.
CONNECTIONS = 1000
PER_ADDRESS = 500
#: Most bytes of a request's head; seconds in which it must arrive.
HEAD, _HEAD_SECONDS = 64 << 10, 15.0  # the longest condition takes 48,000 bytes in an address
#: Most requests that wait behind one that is answered; each that was read takes some kilobytes.
_WAITING = 32
#: Within so many seconds a client reads so many bytes of a waiting answer, or all of it.
_READ_SECONDS, _READ_BYTES = 20.0, 32 << 10


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request doesn't arrive, or whose answer isn't read."""

    #: Networks of the trusted proxies: all clients come from their few addresses.
    proxies: ClassVar[tuple[IPv4Network | IPv6Network, ...]] = ()
    #: Of several processes.
    turns: ClassVar[Turns | None] = None
    _addresses: ClassVar[Counter[str]] = Counter()  # open connections of each, in the process
    _head: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None
    _address = ""
    _unread = 0
    _collected = 0  # bytes since the parser has handed something on
    _handed_on = False
    _ended = False  # what the client still sends isn't read

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._inner, self.app = self.app, self._run

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Says whether there are too many connections; the `Guard` refuses, in words that a page of
        another origin may read. uvicorn's own 503 has no CORS headers and isn't logged."""
        scope["state"]["full"] = max(len(self.connections), len(self.tasks)) > CONNECTIONS
        await self._inner(scope, receive, send)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._count()
        # `pause_writing` and `resume_writing` are called when bytes begin and cease to wait.
        transport.set_write_buffer_limits(high=0)
        if self.client:
            self.client = plain(self.client[0]), self.client[1]
            self._address = network_of(self.client[0])
        self._addresses[self._address] += 1
        if self._addresses[self._address] > PER_ADDRESS and not self._may_hold_many():
            transport.abort()
            return
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        before, self._handed_on = self.cycle, False
        super().data_received(data)
        self._collected = 0 if self._handed_on else self._collected + len(data)
        if self._collected > HEAD and not self._ended:
            self._refuse(Problem(431, "long-head", f"a request's head has at most {HEAD:,} bytes"))
        if self.cycle is not before and self._head is not None:
            self._head.cancel()
            self._head = None
        elif self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.cycle is None or self.cycle.scope is not self.scope:
            super().on_header(name, value)
        # Else it follows the body: nothing reads it, and the scope is in use.

    def on_headers_complete(self) -> None:
        """
        Raises:
            ValueError: too many requests wait; the parser takes it for an error of the bytes.
        """
        self._handed_on = True
        if len(self.pipeline) >= _WAITING:
            raise ValueError("too many requests at once on one connection")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._handed_on = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._handed_on = True
        super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """No other protocol is spoken; after such a request the parser reads no further one."""
        self.cycle.keep_alive = False
        self._ended = True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head, self._reading):
            if timer is not None:
                timer.cancel()
        self._addresses[self._address] -= 1
        if not self._addresses[self._address]:
            del self._addresses[self._address]
        if self.cycle is not None and not self.cycle.response_complete:
            work = self.cycle.scope["state"].get("work")
            if work is not None:
                work.stop()
        super().connection_lost(exc)
        self._count()

    def send_400_response(self, msg: str) -> None:
        """Answers bytes that are no request; uvicorn's own answer would be plain text."""
        self._refuse(Problem(400, "bad-http", "this is no HTTP request"))

    def _refuse(self, problem: Problem) -> None:
        """Ends the connection with the answer to bytes that can't be read, or after the answers to
        the whole requests before them."""
        self._ended, cycle = True, self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                cycle.keep_alive = False
                return
            cycle.disconnected = True  # they are its body; what it still sends is dropped
            cycle.message_event.set()
            if cycle.response_started or self.pipeline:
                self.transport.close()
                return
        answer = problem.response(secrets.token_hex(8))
        lines = [b"%b: %b" % header for header in answer.raw_headers]
        head = [STATUS_LINE[problem.status].strip(), *lines, b"connection: close", b"", b""]
        self.transport.write(b"\r\n".join(head) + bytes(answer.body))
        self.transport.close()

    def _count(self) -> None:
        if self.turns is not None:
            self.turns.has(len(self.connections))

    def _may_hold_many(self) -> bool:
        """Whether the other end is a process of the service or a trusted proxy."""
        if not self.client:
            return True
        address = ip_address(self.client[0])
        return any(address in network for network in self.proxies)

    def _await_head(self) -> None:
        self._head = self.loop.call_later(_HEAD_SECONDS, self.transport.close)

    def _await_reader(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._reading = self.loop.call_later(_READ_SECONDS, self._check_reader)

    def _check_reader(self) -> None:
        """While bytes wait none are added: `send` waits until all are gone."""
        if self.transport.get_write_buffer_size() > self._unread - _READ_BYTES:
            self.transport.abort()
        else:
            self._await_reader()


def protocol_for(proxies: Sequence[str], turns: Turns | None = None) -> type[BoundedProtocol]:
    """The protocol of a service.

    Args:
        proxies: that it trusts, addresses or networks.
        turns: the connections of several processes.
    """
    networks = tuple(ip_network(proxy) for proxy in proxies)
    return type("ProxiedProtocol", (BoundedProtocol,), {"proxies": networks, "turns": turns})
