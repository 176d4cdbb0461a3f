"""A real Caddy with the file of deploy/ and a certificate of its own, for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx

from helpers import needs
from helpers.behind_nginx import DEPLOY, certificate, free_port, wait_for

CADDY = shutil.which("caddy")
_FRAME = """{{
	admin off
	default_bind 127.0.0.1
	http_port {plain}
	https_port {front}
}}
"""


@contextmanager
def behind_caddy(folder: Path, port: int) -> Iterator[str]:
    """Yields the address of Caddy before a service at ``port``.

    Its requests need the name shop.example in TLS, too (SNI).

    Args:
        folder: for its files.
        port: of the service, which need not listen yet.
    """
    if CADDY is None or shutil.which("openssl") is None:
        needs.skip("caddy")
    front, plain = free_port(), free_port()
    certificate(folder)
    site = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    own = f"shop.example {{\n\ttls {folder}/fullchain.pem {folder}/privkey.pem"
    for old, new in (("shop.example {", own), ("127.0.0.1:8000", f"127.0.0.1:{port}")):
        assert old in site, old
        site = site.replace(old, new)
    conf = folder / "Caddyfile"
    conf.write_text(_FRAME.format(plain=plain, front=front) + site, encoding="utf-8")
    command = [CADDY, "run", "--config", str(conf), "--adapter", "caddyfile"]
    homes = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    with subprocess.Popen(command, env=os.environ | homes) as caddy:
        try:
            wait_for(f"http://127.0.0.1:{plain}/")
            moved = httpx.get(f"http://127.0.0.1:{plain}/finder", headers={"Host": "shop.example"})
            assert moved.headers["location"].startswith("https://shop.example")
            yield f"https://127.0.0.1:{front}"
        finally:
            caddy.terminate()
