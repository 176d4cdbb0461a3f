"""Images from a web server that misbehaves; from an S3 server in `test_buckets.py`."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="needs aiohttp: pip install 'hemline[remote]'")
pytest.importorskip("fsspec", reason="needs fsspec: pip install 'hemline[remote]'")

from helpers.bad_web import GOOD, BadWeb, bad_web, picture
from hemline.data.images import open_image
from hemline.data.remote.fetcher import Fetcher
from hemline.data.remote.settings import RemoteSettings
from hemline.errors import ImageError

LOOPBACK = ("127.0.0.0/8", "::1/128")


@pytest.fixture(scope="module")
def web() -> Iterator[BadWeb]:
    with bad_web() as server:
        yield server


@pytest.fixture
def settings(web: BadWeb, tmp_path: Path) -> RemoteSettings:
    return RemoteSettings(
        allow=(web.host,),
        networks=LOOPBACK,
        max_bytes=1_000_000,
        timeout=30,
        retries=2,
        cache=tmp_path / "cache",
    )


def fetched(settings: RemoteSettings, text: str) -> bytes:
    fetcher = Fetcher(settings, wait=lambda seconds: None)
    return fetcher.find(text, "row 3").fetch().read_bytes()


@pytest.mark.parametrize(
    "path", ["/good.jpg", "/moved.jpg", "/busy-once.jpg", "/text-type.jpg", "/flaky.jpg"]
)
def test_an_image_is_fetched(web: BadWeb, settings: RemoteSettings, path: str) -> None:
    data = fetched(settings, web.host + path)
    assert open_image(data).ndim == 3
    assert path == "/text-type.jpg" or data == GOOD


#: Path → what the error says, and how often the server is asked.
BAD = {
    "/nothing.jpg": ("answered 404, not found; correct the address or remove the row", 1),
    "/401.jpg": ("asks for a password", 1),
    "/403.jpg": ("refuses access \\(403\\)", 1),
    "/410.jpg": ("answered 410, gone", 1),
    "/429.jpg": ("answered 429 \\(3 attempts\\); run the command again later", 3),
    "/500.jpg": ("answered 500 \\(3 attempts\\)", 3),
    "/204.jpg": ("answered 204 in place of an image", 1),
    "/304.jpg": ("answered 304 in place of an image", 1),
    "/206.jpg": ("answered with another part than was asked for", 3),
    "/endless.jpg": ("has more than the 1 MiB that are fetched", 1),
    "/endless-head.jpg": ("broke off: .*(header|Header|line)", 3),
    "/huge.jpg": ("has more than the 1 MiB that are fetched", 1),
    "/short.jpg": ("broke off", 3),
    "/cut-chunks.jpg": ("broke off", 3),
    "/empty.jpg": ("is empty", 1),
    "/reset.jpg": ("broke off", 3),
    "/closed.jpg": ("broke off", 3),
    "/garbage.jpg": ("broke off", 3),
    "/html.jpg": ("is no picture but a web page", 1),
    "/bomb.jpg": ("answered with packed bytes \\(gzip\\)", 1),
    "/loop.jpg": ("redirects more than 3 times", 4),
    "/to-loopback.jpg": ("redirects to http://127.0.0.1:1/x.jpg, which isn't fetched", 1),
    "/to-localhost.jpg": ("redirects to https://localhost/x.jpg, which isn't fetched", 1),
    "/to-metadata.jpg": ("redirects to http://169.254.169.254/.*, which isn't fetched", 1),
    "/to-file.jpg": ("redirects to file:///etc/passwd, which is of the kind 'file'", 1),
    "/to-bucket.jpg": ("redirects to s3://other/x.jpg, which is of the kind 's3'", 1),
    "/to-nowhere.jpg": ("redirects more than 3 times", 4),
}


@pytest.mark.parametrize("path", BAD)
def test_a_server_that_misbehaves_is_told_in_one_line(
    web: BadWeb, settings: RemoteSettings, path: str
) -> None:
    reason, times = BAD[path]
    before = web.asked[path]
    with pytest.raises(ImageError, match=reason) as error:
        fetched(settings, web.host + path)
    assert str(error.value).startswith(f"row 3: {web.host}{path} ")
    assert "\n" not in str(error.value)
    assert times <= web.asked[path] - before <= 2 * times  # aiohttp asks again where none answers
    assert settings.cache is not None
    assert not list(settings.cache.glob("??/*.image"))


@pytest.mark.parametrize("path", ["/drip.jpg", "/silent.jpg"])
def test_a_server_that_drips_is_left(web: BadWeb, settings: RemoteSettings, path: str) -> None:
    hasty = replace(settings, timeout=0.5, retries=1)
    with pytest.raises(ImageError, match="took more than 0.5 seconds \\(2 attempts\\)"):
        fetched(hasty, web.host + path)


@pytest.mark.parametrize("path", ["/truncated.jpg", "/too-long.jpg"])
def test_what_cant_be_opened_is_fetched_anew(
    web: BadWeb, settings: RemoteSettings, path: str
) -> None:
    fetcher = Fetcher(settings)
    image = fetcher.find(web.host + path, "row 3")
    with pytest.raises(ImageError, match="truncated|broke off"):
        open_image(image.fetch())
    assert "row 3: " in str(image.unusable("is a truncated JPEG"))
    assert not image.path.exists()


def test_what_broke_off_is_continued(web: BadWeb, settings: RemoteSettings) -> None:
    address = f"{web.host}/flaky.jpg"
    with pytest.raises(ImageError, match="broke off"):
        fetched(replace(settings, retries=0), f"{address}?another=run")
    assert fetched(settings, f"{address}?another=run") == GOOD
    assert f"Range: bytes={len(GOOD) // 2}-" in web.heads["/flaky.jpg"]
    assert 'If-Range: "one"' in web.heads["/flaky.jpg"]


@pytest.mark.parametrize(
    ("path", "data"), [("/changed.jpg", picture(1)), ("/other-part.jpg", GOOD)]
)
def test_parts_of_two_images_are_never_joined(
    web: BadWeb, settings: RemoteSettings, path: str, data: bytes
) -> None:
    assert fetched(replace(settings, retries=5), web.host + path) == data


def test_an_image_is_asked_for_again_after_its_age(web: BadWeb, settings: RemoteSettings) -> None:
    address = f"{web.host}/tagged.jpg"
    for age, asked in ((100.0, 1), (100.0, 1), (0.0, 2)):
        assert fetched(replace(settings, max_age=age), address) == GOOD
        assert web.asked["/tagged.jpg"] == asked
    assert 'If-None-Match: "one"' in web.heads["/tagged.jpg"]


def test_only_listed_hosts_are_asked(web: BadWeb, settings: RemoteSettings) -> None:
    before = web.asked["/good.jpg"]
    port = web.server_address[1]
    for text, reason in {
        f"http://localhost:{port}/good.jpg": f"--allow-host http://localhost:{port}",
        f"https://127.0.0.1:{port}/good.jpg": f"--allow-host 127.0.0.1:{port}",
        f"http://127.0.0.1:{port + 1}/good.jpg": "host isn't allowed",
        "s3://pictures/1.jpg": "bucket isn't allowed; .* --allow-host s3://pictures",
        "ftp://127.0.0.1/good.jpg": "is of the kind 'ftp'",
        "file:///etc/passwd": "is of the kind 'file'",
        f"http://me:secret@127.0.0.1:{port}/good.jpg": "has a user name or password",
    }.items():
        with pytest.raises(ImageError, match=reason) as error:
            fetched(settings, text)
        assert "secret" not in str(error.value)
    assert web.asked["/good.jpg"] == before


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "shop.example"])
def test_no_private_address_is_connected_to(
    web: BadWeb, settings: RemoteSettings, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a name resolved to before: the address that is connected to counts."""
    port = web.server_address[1]
    own = socket.getaddrinfo

    def rebound(name: Any, *given: Any, **named: Any) -> Any:
        return own("127.0.0.1" if name == "shop.example" else name, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    before = web.asked["/good.jpg"]
    place = f"http://{host}:{port}"
    public = replace(settings, allow=(place,), networks=())
    with pytest.raises(ImageError, match="leads to (127.0.0.1|::1), which isn't public"):
        fetched(public, f"{place}/good.jpg")
    assert web.asked["/good.jpg"] == before
    assert fetched(replace(public, networks=LOOPBACK), f"{place}/good.jpg") == GOOD


def test_a_host_that_fails_is_left_alone(web: BadWeb, settings: RemoteSettings) -> None:
    fetcher = Fetcher(replace(settings, retries=0))
    before = web.asked["/500.jpg"]
    for number in range(30):
        with pytest.raises(ImageError, match="500|isn't asked for any more"):
            fetcher.find(f"{web.host}/500.jpg?{number}", "row 1").fetch()
    assert web.asked["/500.jpg"] - before == 20


def test_waits_grow_and_heed_the_server(web: BadWeb, settings: RemoteSettings) -> None:
    waits: list[float] = []
    fetcher = Fetcher(replace(settings, retries=3), wait=waits.append)
    with pytest.raises(ImageError):
        fetcher.find(f"{web.host}/500.jpg?waits", "row 1").fetch()
    assert all(0.25 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits))
    waits.clear()
    with pytest.raises(ImageError):
        fetcher.find(f"{web.host}/429.jpg?waits", "row 1").fetch()
    assert waits == [7.0, 7.0, 7.0]


def test_the_cache_keeps_to_its_limit(web: BadWeb, settings: RemoteSettings) -> None:
    assert settings.cache is not None
    fetcher = Fetcher(replace(settings, cache_bytes=5 * len(GOOD)))
    for number in range(20):
        assert fetcher.find(f"{web.host}/good.jpg?{number}", "row 1").fetch().read_bytes() == GOOD
    used = sum(file.stat().st_size for file in settings.cache.glob("??/*"))
    assert len(GOOD) < used <= 5 * len(GOOD)


def test_a_damaged_cache_is_fetched_anew(web: BadWeb, settings: RemoteSettings) -> None:
    assert settings.cache is not None
    address = f"{web.host}/good.jpg?damaged"
    fetched(settings, address)
    for name in ("*.image", "*.json"):
        for file in settings.cache.glob(f"??/{name}"):
            file.write_bytes(b"{")
        assert fetched(settings, address) == GOOD


def test_threads_fetch_an_image_once(web: BadWeb, settings: RemoteSettings) -> None:
    fetcher = Fetcher(settings)
    before = web.asked["/good.jpg"]
    found: list[str] = []

    def fetch() -> None:
        path = fetcher.find(f"{web.host}/good.jpg?together", "row 1").fetch()
        found.append(hashlib.sha256(path.read_bytes()).hexdigest())

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [hashlib.sha256(GOOD).hexdigest()] * 8
    assert web.asked["/good.jpg"] == before + 1
