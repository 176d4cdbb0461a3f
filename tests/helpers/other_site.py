"""A shop's page of another origin, with a strict content security policy and styles of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: The whole policy of the shop: with these three lines the widget works.
POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "script-src {service}; connect-src 'self' {service}; img-src {service}"
)
NONCE = POLICY.replace("script-src {service}", "script-src 'nonce-r4nd0m' 'strict-dynamic'")
#: Whatever a shop's styles may do to elements of these names.
STYLES = """
* { color: rgb(1, 2, 3) !important; letter-spacing: 3px; }
hemline-widget { opacity: 0.2 !important; }
body { font: 20px serif; margin: 0; background: #f6f2ea; }
header { padding: 1rem; background: #fff; display: flex; gap: 1rem; align-items: center; }
h1 { flex: 1; font-size: 1.4rem; }
button, .open, .main { display: none !important; background: red !important; }
dialog, .layer, .product, .price, img { visibility: hidden !important; border: 9px solid red; }
h2, h3, p { text-transform: uppercase; margin: 3rem; }
p.price { color: blue; }
"""
#: Texts of the shop's own; the others stay English.
FRENCH = '{"title": "Chercher par photo", "found": {"one": "{n} produit", "other": "{n} produits"}}'
PAGE = """<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>A shop</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/shop.css"></head><body>
<header><h1>A shop</h1><span id="place"></span></header>
<main><h2>New in</h2><p class="price">12 EUR</p></main>
<script type="module" nonce="r4nd0m" src="{script}/widget.js" data-hemline="{script}" {more}>
</script>
</body></html>"""


class Site:
    """What it answers; ``url`` is its address, and its origin."""

    def __init__(self) -> None:
        self.policy, self.service, self.language, self.more = POLICY, "", "en", ""
        self.headers: dict[str, str] = {}
        self.url = ""

    def show(self, service: str, more: str = "", language: str = "en", policy: str = POLICY) -> str:
        """Makes a page with the widget of a service; returns its address."""
        self.service, self.more, self.language, self.policy = service, more, language, policy
        return f"{self.url}/"

    def page(self) -> tuple[str, bytes]:
        html = PAGE.format(language=self.language, script=self.service, more=self.more)
        origin = "/".join(self.service.split("/")[:3])
        return self.policy.format(service=origin), html.encode()


@contextmanager
def other_site(host: str = "127.0.0.1") -> Iterator[Site]:
    """A site until the block ends."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            policy, data = site.page()
            kind = "text/html"
            if self.path == "/shop.css":
                kind, data = "text/css", STYLES.encode()
            if self.path == "/fr.json":
                kind, data = "application/json", FRENCH.encode()
            self.send_response(200 if self.path in ("/", "/shop.css", "/fr.json") else 404)
            headers = {"Content-Security-Policy": policy, "Content-Type": kind}
            # Such a page takes nothing from elsewhere that doesn't say it is meant for it.
            headers["Cross-Origin-Embedder-Policy"] = "require-corp"
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://{host}:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield site
    server.shutdown()
    server.server_close()
