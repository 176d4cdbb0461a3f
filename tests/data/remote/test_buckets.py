"""S3 against moto's server, Google Cloud Storage against a server of two answers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from helpers.bad_web import GOOD
from hemline.data.remote.settings import RemoteSettings
from hemline.errors import ImageError

fetcher = pytest.importorskip("hemline.data.remote.fetcher")
LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    pytest.importorskip("s3fs", reason="needs s3fs: pip install 'hemline[remote]'")
    pytest.importorskip("moto.server", reason="needs moto: pip install 'moto[server,s3]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            yield _answering(f"http://127.0.0.1:{port}", server)
        finally:
            server.terminate()


def _answering(address: str, server: subprocess.Popen[bytes]) -> str:
    for _ in range(600):
        assert server.poll() is None, "moto's server has ended"
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return address
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError("moto's server doesn't answer")


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RemoteSettings:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_server,
    }.items():
        monkeypatch.setenv(name, value)
    return RemoteSettings(
        allow=("s3://pictures",), networks=LOOPBACK, max_bytes=10_000_000, timeout=60, retries=0,
        cache=tmp_path / "cache",
    )  # fmt: skip


def _put(address: str, key: str, body: bytes) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=address)
    client.create_bucket(Bucket="pictures")
    client.put_object(Bucket="pictures", Key=key, Body=body)


def fetched(settings: RemoteSettings, text: str) -> bytes:
    return bytes(fetcher.Fetcher(settings).find(text, "row 3").fetch().read_bytes())


def test_an_image_of_a_bucket(s3: RemoteSettings, s3_server: str) -> None:
    _put(s3_server, "a b/1.jpg", GOOD)
    with pytest.raises(ImageError, match="has a blank"):
        fetched(s3, "s3://pictures/a b/1.jpg")
    _put(s3_server, "dresses/1.jpg", GOOD)
    assert fetched(s3, "s3://pictures/dresses/1.jpg") == GOOD


def test_a_large_image_comes_in_parts(s3: RemoteSettings, s3_server: str, tmp_path: Path) -> None:
    large = GOOD + bytes(9_000_000)
    _put(s3_server, "large.jpg", large)
    assert fetched(s3, "s3://pictures/large.jpg") == large
    with pytest.raises(ImageError, match="has more than the 1 MiB"):
        fetched(replace(s3, max_bytes=1 << 20, cache=tmp_path), "s3://pictures/large.jpg")


def test_an_image_that_was_replaced_is_fetched_again(s3: RemoteSettings, s3_server: str) -> None:
    _put(s3_server, "2.jpg", GOOD)
    always = replace(s3, max_age=0.0)
    assert fetched(always, "s3://pictures/2.jpg") == GOOD
    assert fetched(always, "s3://pictures/2.jpg") == GOOD
    _put(s3_server, "2.jpg", GOOD + b"2")
    assert fetched(s3, "s3://pictures/2.jpg") == GOOD
    assert fetched(always, "s3://pictures/2.jpg") == GOOD + b"2"


def test_what_cant_be_had_of_a_bucket(s3: RemoteSettings, s3_server: str) -> None:
    _put(s3_server, "page.jpg", b"<!doctype html>")
    for text, reason in {
        "s3://pictures/nothing.jpg": "isn't there; correct the address",
        "s3://pictures/page.jpg": "is no picture but a web page",
        "s3://others/1.jpg": "--allow-host s3://others",
    }.items():
        with pytest.raises(ImageError, match=reason) as error:
            fetched(s3, text)
        assert str(error.value).startswith(f"row 3: {text} ")


def test_a_server_of_buckets_must_be_public_too(s3: RemoteSettings, s3_server: str) -> None:
    _put(s3_server, "1.jpg", GOOD)
    with pytest.raises(ImageError, match="leads to 127.0.0.1, which isn't public"):
        fetched(replace(s3, networks=()), "s3://pictures/1.jpg")


def test_credentials_are_of_the_environment_alone(
    s3: RemoteSettings, s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without them a request isn't signed, whatever the user's files have."""
    _put(s3_server, "1.jpg", GOOD)
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = file\naws_secret_access_key = file\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    from hemline.data.remote import buckets

    own = buckets._SYSTEMS["s3"](s3, None)
    assert own.anon is True
    assert own.key is None


class _Storage(BaseHTTPRequestHandler):
    """Google Cloud Storage's JSON API, as far as it is needed for one object."""

    def do_GET(self) -> None:
        if "missing" in self.path:
            self.send_error(404)
            return
        body = GOOD
        if "alt=media" not in self.path:
            about = {"name": "1.jpg", "bucket": "pictures", "size": str(len(GOOD)), "etag": "one"}
            body = json.dumps({"kind": "storage#object", **about}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_an_image_of_google_cloud_storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("gcsfs", reason="needs gcsfs: pip install 'hemline[remote]'")
    settings = RemoteSettings(
        allow=("gs://pictures",), networks=LOOPBACK, retries=0, cache=tmp_path / "cache"
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), _Storage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        assert fetched(settings, "gs://pictures/1.jpg") == GOOD
        with pytest.raises(ImageError, match="isn't there"):
            fetched(settings, "gs://pictures/missing.jpg")
        with pytest.raises(ImageError, match="isn't public"):
            fetched(replace(settings, networks=()), "gs://pictures/2.jpg")
        server.shutdown()
