"""Settings of the service: its address, its limits and its folder."""

from __future__ import annotations

import functools
import ipaddress
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from hemline.errors import UsageError
from hemline.limits import MAX_SENT_PIXELS, QueryLimits
from hemline.service.shop_file import ShopPage, shop_page

#: The folder within a catalogue for the service's keys and journal.
STATE = "service"
MEGA = 1 << 20
_MEMORY = 1536 * MEGA  # of one process
#: What one query of a reader without a key may cost, where less than `QueryLimits`.
PUBLIC_LIMITS = {
    "photos": 4,
    "offset": 1000,
    "where_length": 2000,
    "where_operators": 200,
    "work": 200_000_000,
    "facets": 16,
    "rerank": 1000,
    "seconds": 10,
}
_ROOT = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
#: First parts of own addresses.
_OWN = ("v1", "static", "admin", "healthz", "readyz", "metrics", "widget.js")
_SHOP = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._~-]{0,63}")
_EMBEDDER = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]+(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of ``hemline serve``.

    Attributes:
        catalog: the catalogue's folder.
        host, port: address to listen at.
        names: further host names of the service.
        cors: origins of other sites whose pages may call it (``https://shop.example``).
        public: whether anybody may read without a key; every change then needs one.
        proxies: addresses and networks (CIDR) of proxies whose ``X-Forwarded-For`` and ``-Proto``
            are believed.
        root_path: the sub-path of all addresses (``/finder``), without a slash at its end.
        frame_ancestors: origins of pages that may embed the service's pages.
        workers: number of processes.
        threads: of the street tower in each process; by default its share of the cores.
        max_body: bytes of a request, and of one line of a bulk upload.
        max_upload: bytes of an uploaded manifest with its images, also when unpacked.
        max_pixels: of an image.
        memory: bytes for the bodies and images of all requests, in all processes together; 0 is
            1.5 GiB for each process.
        queue: most requests in work or waiting; further ones get 503.
        timeout: seconds for an answer.
        slow: seconds for a request's body, and between the pieces of a long one.
        rate: average requests a second of each key.
        public_rate: the same of each client address without a key.
        keep_photos: days for which query photos are stored, for the export of triplets; 0: none.
        samples: folder of sample photos for the page.
        judging: whether the page asks which hits are right and wrong; None: as the shop's file
            says, else yes.
        photo_links: whether shoppers may share a photo by a link, which keeps a small copy of its
            searched part for a day.
        shops: folders of several catalogues, each served at ``/NAME/``; `each` has their settings.
        list_shops: whether ``/`` lists them.
        shop: the name of this one of several.
        database: address of the database with keys, journal and shared photos, for SQLAlchemy;
            by default they are files in the catalogue's folder.
        settings_file: of the shop; by default that in the catalogue's folder.
        page: what it says of the page; `each` has read it.
    """

    catalog: Path
    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()
    public: bool = False
    proxies: tuple[str, ...] = ()
    root_path: str = ""
    frame_ancestors: tuple[str, ...] = ()
    workers: int = 1
    threads: int | None = None
    max_body: int = 20 * MEGA
    max_upload: int = 2048 * MEGA
    max_pixels: int = MAX_SENT_PIXELS
    memory: int = 0
    queue: int = 64
    timeout: float = 30.0
    slow: float = 20.0
    rate: float = 100.0
    public_rate: float = 10.0
    keep_photos: int = 0
    samples: Path | None = None
    judging: bool | None = None
    photo_links: bool | None = None
    shops: tuple[Path, ...] = ()
    list_shops: bool = False
    shop: str = ""
    database: str = field(default="", repr=False)  # it may have a password
    settings_file: Path | None = None
    page: ShopPage = field(default_factory=ShopPage)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UsageError(f"a port is from 0 to 65535, not {self.port}")
        for name in ("workers", "max_body", "max_upload", "max_pixels", "queue"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is at least 1, not {getattr(self, name)}")
        if not 0 <= self.keep_photos <= 36500:
            raise UsageError(f"photos are kept from 0 to 36500 days, not {self.keep_photos}")
        if self.memory < 0:
            raise UsageError(f"memory is a number of bytes, not {self.memory}")
        for name in ("timeout", "slow", "rate", "public_rate"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is more than 0, not {getattr(self, name)}")
        for origin in self.cors:
            if not origin.startswith(("http://", "https://")) or origin.rstrip("/") != origin:
                raise UsageError(
                    f"an origin is like https://shop.example, without a path, not {origin!r}"
                )

        self._check_front()
        self._check_shops()

    def _check_shops(self) -> None:
        """
        Raises:
            UsageError: a catalogue's name can't be a part of an address, or two have the same.
        """
        names = [name_of(folder) for folder in self.shops]
        for name in names:
            if not _SHOP.fullmatch(name) or name in _OWN:
                raise UsageError(
                    f"each catalogue is served at /NAME/, the name of its folder: at most 64 "
                    f"letters, digits and ._~-, and none of {', '.join(_OWN)}, not {name!r}"
                )
            if names.count(name) > 1:
                raise UsageError(f"two catalogues have the name {name}; rename one's folder")
        if self.list_shops and not self.shops:
            raise UsageError("there is nothing to list: name several catalogues, or --by-name")

    def _check_front(self) -> None:
        """
        Raises:
            UsageError: a proxy, the sub-path or an embedding origin has another form.
        """
        object.__setattr__(self, "proxies", tuple(_network(proxy) for proxy in self.proxies))
        root = self.root_path
        if root and (not _ROOT.fullmatch(root) or root.split("/")[1] in _OWN):
            raise UsageError(
                f"a root path is like /finder, without a slash at its end, and none of the "
                f"service's own ({', '.join(_OWN)}), not {root!r}"
            )
        for origin in self.frame_ancestors:
            if not _EMBEDDER.fullmatch(origin):
                raise UsageError(
                    f"an origin that embeds is like https://shop.example, not {origin!r}"
                )

    @property
    def each(self) -> tuple[Settings, ...]:
        """The settings of each catalogue, with those of its file.

        Raises:
            UsageError: a settings file can't be read.
        """
        if not self.shops:
            return (self._with_page(),)
        return tuple(
            replace(
                self, catalog=folder, shop=name_of(folder), shops=(), list_shops=False
            )._with_page()
            for folder in self.shops
        )

    def _with_page(self) -> Settings:
        """What is given here wins over the file."""
        page = shop_page(self.catalog, self.settings_file)
        names = ("samples", "judging", "photo_links")
        filled = {name: getattr(page, name) for name in names if getattr(self, name) is None}
        return replace(self, page=page, **filled)

    @property
    def path(self) -> str:
        """The sub-path of the catalogue, without a slash at its end."""
        return f"{self.root_path}/{self.shop}" if self.shop else self.root_path

    @property
    def limits(self) -> QueryLimits:
        """What one query may cost, before a key's own limits."""
        return QueryLimits(pixels=self.max_pixels, seconds=self.timeout)

    @property
    def public_limits(self) -> QueryLimits:
        """The same for a reader without a key."""
        return self.limits.lowered(PUBLIC_LIMITS)

    @property
    def state(self) -> Path:
        """The folder of keys and journal."""
        return self.catalog / STATE

    @property
    def memory_share(self) -> int:
        """Bytes for the bodies and images of one process."""
        return self.memory // self.workers or _MEMORY

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it: a proxy or a sub-path says that others do."""
        return is_loopback(self.host) and not self.proxies and not self.root_path

    @property
    def pictures(self) -> str:
        """The address of the stored images, before their ids."""
        return f"{self.path}/v1/pictures/"


def name_of(folder: Path) -> str:
    """The name of a catalogue among several."""
    return Path(os.path.abspath(folder)).name  # a link's own name


@functools.lru_cache(32)  # each request has its Host
def is_loopback(host: str) -> bool:
    """Whether a host name or address is a loopback one."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _network(proxy: str) -> str:
    """An address or a network in the form of CIDR.

    Raises:
        UsageError: it is neither, or has every address.
    """
    try:
        network = ipaddress.ip_network(proxy, strict=False)
    except ValueError:
        raise UsageError(
            f"a trusted proxy is an address or a network like 10.0.0.0/8, not {proxy!r}"
        ) from None
    if network.prefixlen == 0:
        raise UsageError(
            f"{proxy} would trust everybody's X-Forwarded-For; name the proxy's address"
        )
    return str(network) if "/" in proxy else str(network.network_address)
