"""Addresses of images, and which of them an operator allows.

A manifest or feed may come from others, who are not to choose what this machine connects to: an
address is fetched only where its host (or bucket) is on the operator's list, and only from a public
network address. The latter is checked for what is connected to, so that a name which resolves to
something else the second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from hemline.errors import ImageError, UsageError

#: Ports that need not be named.
_PORTS = {"https": 443, "http": 80}
_BUCKETS = ("s3", "gs")
_START = re.compile(r"(https?|s3|gs)://", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?|[0-9a-f:.]+")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,221}")
#: Parameters of a signed address (S3, GCS, Azure, CloudFront): they change with each signing.
_SIGNED = re.compile(
    r"x-(amz|goog)-.*|signature|sig|se|sp|sv|sr|st|expires|policy|key-pair-id|awsaccesskeyid|"
    r"googleaccessid",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(r"(x-(amz|goog)-)?signature|sig", re.IGNORECASE)
_SECRET = re.compile(r".*(token|secret|password).*|api_?key|auth.*", re.IGNORECASE)
_LONGEST = 4000
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Address(NamedTuple):
    """Where an image is.

    Attributes:
        text: as it was given.
        scheme: https, http, s3 or gs.
        host: the host's name in lower case; of s3 and gs the bucket.
        port: of https and http; else 0.
        path: after the host; of s3 and gs the key.
    """

    text: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def lasting(self) -> str:
        """The address without a signature, which is another one each day."""
        return _lasting(self.text)

    @property
    def name(self) -> str:
        """The address without what gives access to it, to be shown and stored."""
        return without_secrets(self.text)


def is_address(text: str) -> bool:
    """Whether a manifest's path is an address of a kind that can be fetched."""
    return _START.match(text) is not None


def without_secrets(text: str) -> str:
    """An address without user name, password, and parameters that give access.

    Where it can't be told from others without them, a hash stands for them.
    """
    lasting = _lasting(text)
    start, slashes, rest = lasting.partition("://")
    host, slash, path = rest.partition("/")
    shown = _without(f"{start}{slashes}{host.rpartition('@')[2]}{slash}{path}", _SECRET)
    if shown.partition("?")[2] == lasting.partition("?")[2]:
        return shown
    return f"{shown}#{hashlib.sha256(lasting.encode(errors='backslashreplace')).hexdigest()[:8]}"


def _lasting(text: str) -> str:
    names = [part.partition("=")[0] for part in text.partition("?")[2].split("&")]
    return _without(text, _SIGNED) if any(map(_SIGNATURE.fullmatch, names)) else text


def _without(text: str, left_out: re.Pattern[str]) -> str:
    rest, _, query = text.partition("?")
    kept = [
        part for part in query.split("&") if part and not left_out.fullmatch(part.partition("=")[0])
    ]
    return rest + (f"?{'&'.join(kept)}" if kept else "")


def parse_address(text: str) -> Address:
    """
    Raises:
        ImageError: it can't be fetched; the message is a clause that follows the address.
    """
    if len(text) > _LONGEST:
        raise ImageError(f"has more than {_LONGEST:,} characters")
    if re.search(r"[\x00-\x20\x7f\\]", text):
        raise ImageError("has a blank, control character or backslash; write it as %20 or %5C")
    scheme = text.partition("://")[0].lower()
    if not is_address(text):
        raise ImageError(f"is of the kind {scheme[:20]!r}; https, s3 and gs can be fetched")
    if scheme in _BUCKETS:
        bucket, _, key = text.partition("://")[2].partition("/")
        if not _BUCKET.fullmatch(bucket) or not key or key.endswith("/"):
            raise ImageError(f"isn't {scheme}://BUCKET/KEY")
        return Address(text, scheme, bucket, 0, key)
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS[scheme]
    except ValueError as error:
        raise ImageError(f"is no valid address: {error}") from None
    if "@" in parts.netloc:
        raise ImageError("has a user name or password in it, which aren't sent; remove them")
    if not _HOST.fullmatch(host):
        raise ImageError("has a host that isn't ASCII or no name; write it as in DNS (xn--…)")
    return Address(text, scheme, host, port, parts.path)


class Allowed:
    """The operator's list of hosts and buckets, and of networks that aren't public."""

    def __init__(self, places: Iterable[str], networks: Iterable[str] = ()) -> None:
        """
        Args:
            places: ``cdn.shop.example`` (https at port 443), ``*.shop.example`` (any name below
                it), ``https://HOST:PORT``, ``http://HOST`` (not encrypted), ``s3://BUCKET``,
                ``s3://BUCKET/START-OF-KEYS/``, the same with ``gs``.
            networks: ``10.1.0.0/16``: may be connected to though they aren't public.

        Raises:
            UsageError: one that isn't understood.
        """
        self._places = [_place(text) for text in places]
        self._networks = [_network(text) for text in networks]

    def check(self, address: Address) -> None:
        """
        Raises:
            ImageError: the operator hasn't named its host; a clause that follows the address.
        """
        if any(_covers(place, address) for place in self._places):
            return
        place = f"{address.scheme}://{address.host}"
        if address.scheme in _PORTS:
            usual = address.port == _PORTS[address.scheme]
            place = f"{place}{'' if usual else f':{address.port}'}".removeprefix("https://")
        raise ImageError(
            f"isn't fetched, as its {'bucket' if address.scheme in _BUCKETS else 'host'} isn't "
            f"allowed; if it is the shop's own: --allow-host {place}"
        )

    def check_connection(self, host: str) -> None:
        """
        Args:
            host: a network address, as a connection is made to it.

        Raises:
            ImageError: it isn't public, nor in a network that the operator has named.
        """
        own = ipaddress.ip_address(host.partition("%")[0])
        for one in _meant(own):
            named = any(one.version == net.version and one in net for net in self._networks)
            if not named and not _public(one):
                raise ImageError(
                    f"leads to {own}, which isn't public; name its network if it is the shop's "
                    f"own: --allow-network {one}"
                )


class _Place(NamedTuple):
    scheme: str
    host: str
    port: int
    start: str


def _place(text: str) -> _Place:
    whole = text if "://" in text else f"https://{text}"
    below = re.match(r"([a-z]+://)\*\.(.*)", whole, re.IGNORECASE)
    scheme = whole.partition("://")[0].lower()
    try:
        if scheme in _BUCKETS:
            # A key is needed to be an address; the list may name a bucket whole.
            bucket, _, start = whole.partition("://")[2].partition("/")
            parse_address(f"{scheme}://{bucket}/key")
            return _Place(scheme, bucket, 0, start)
        address = parse_address(f"{below[1]}{below[2]}" if below else whole)
    except ImageError as error:
        raise UsageError(f"allowed hosts: {text!r} {error}") from None
    if address.path not in ("", "/"):
        raise UsageError(f"allowed hosts: {text!r} has a path; name the host alone")
    if below and "." not in address.host:
        raise UsageError(f"allowed hosts: {text!r} is too wide; name a domain, as *.shop.example")
    return _Place(scheme, f"*.{address.host}" if below else address.host, address.port, "")


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"allowed networks: {error}; write it as 10.1.0.0/16") from None


def _covers(place: _Place, address: Address) -> bool:
    if (place.scheme, place.port) != (address.scheme, address.port):
        return False
    if place.host.startswith("*."):
        return address.host.endswith(place.host[1:])
    return place.host == address.host and address.path.startswith(place.start)


def _meant(
    own: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> Sequence[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses that are reached by one: those within an address of IPv6, too."""
    if isinstance(own, ipaddress.IPv4Address):
        return [own]
    if own.ipv4_mapped is not None:
        return [own.ipv4_mapped]
    if own in ipaddress.ip_network("64:ff9b::/96"):  # NAT64
        return [ipaddress.IPv4Address(int(own) & 0xFFFFFFFF)]
    inner = own.sixtofour
    return [own] if inner is None else [own, inner]


def _public(one: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(one, ipaddress.IPv6Address) and one not in ipaddress.ip_network("2000::/3"):
        return False
    return one.is_global and not (one.is_multicast or one.is_reserved)
