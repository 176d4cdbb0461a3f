"""A real nginx with the files of deploy/ and a certificate of its own, for tests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx

from helpers import needs

DEPLOY = Path(__file__).parents[2] / "deploy"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
FRAME = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr info;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{servers}
}}
"""


def free_port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


def wait_for(url: str) -> None:
    for _ in range(1200):
        try:
            httpx.get(url, verify=False)
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"nobody listens at {url}")


def certificate(folder: Path, name: str = "shop.example") -> None:
    """``fullchain.pem`` and ``privkey.pem``, signed by nobody but itself."""
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *files,
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True,
    )  # fmt: skip


@contextmanager
def running(conf: Path) -> Iterator[None]:
    """An nginx with this file."""
    assert NGINX is not None
    with subprocess.Popen([NGINX, "-p", str(conf.parent), "-c", str(conf)]) as nginx:
        try:
            yield
        finally:
            nginx.terminate()


@contextmanager
def behind_nginx(folder: Path, port: int, *, takes_off: bool = False) -> Iterator[str]:
    """Yields the address of nginx before a service at ``port``.

    Args:
        folder: for its files.
        port: of the service, which need not listen yet.
        takes_off: whether nginx takes the sub-path off the addresses.
    """
    if NGINX is None or shutil.which("openssl") is None:
        needs.skip("nginx")
    front, plain = free_port(), free_port()
    certificate(folder)
    locations = (DEPLOY / "nginx-locations.conf").read_text(encoding="utf-8")
    locations = locations.replace("127.0.0.1:8000", f"127.0.0.1:{port}{'/' * takes_off}")
    (folder / "locations.conf").write_text(locations, encoding="utf-8")
    servers = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{front} ssl"),
        ("  listen [::]:443 ssl http2;\n", ""),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("  listen [::]:80;\n", ""),
        ("/etc/letsencrypt/live/shop.example", str(folder)),
        ("/etc/nginx/hemline-locations.conf", str(folder / "locations.conf")),
    ):
        assert old in servers, old
        servers = servers.replace(old, new)
    conf = folder / "nginx.conf"
    conf.write_text(FRAME.format(folder=folder, servers=servers), encoding="utf-8")
    with running(conf):
        wait_for(f"https://127.0.0.1:{front}/")
        moved = httpx.get(f"http://127.0.0.1:{plain}/finder", headers={"Host": "shop.example"})
        assert moved.headers["location"] == "https://shop.example/finder"
        yield f"https://127.0.0.1:{front}"
