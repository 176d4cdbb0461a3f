"""A stand-in for the service, of the same answers: fast, the same each time, and told how to fail.

It serves the real page with the real content security policy, reads conditions with hemline's own
`Where`, and notes each question.
"""

from __future__ import annotations

import json
import mimetypes
import re
import threading
import time
from collections import Counter
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import cv2
import numpy as np

from hemline.catalog.where.expression import Where
from hemline.errors import UsageError

PAGE = Path(str(files("hemline"))) / "service" / "page"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KEY = "a-key-of-the-shop"
_KINDS = ("hoodie", "dress", "coat", "skirt")
_COLOURS = {"red": (200, 40, 40), "blue": (40, 80, 180), "green": (40, 130, 70), "grey": (128,) * 3}
_PATTERNS = ("plain", "tartan", "floral")
#: The garments of every photo, as shares of its sides.
GARMENTS = {"hoodie": (0.2, 0.1, 0.7, 0.5), "skirt": (0.25, 0.5, 0.65, 0.9)}


def product(number: int) -> dict[str, Any]:
    kind = _KINDS[number % 4]
    colour = list(_COLOURS)[number // 4 % 4]
    tags = [f"category={kind}", f"color={colour}", f"pattern={_PATTERNS[number % 3]}"]
    columns: dict[str, Any] = {"category": kind, "tags": tags, "price": 9.5 + number}
    columns["title"] = f"{colour.title()} {kind} no. {number}"
    columns["currency"] = "EUR"
    columns["brand"] = "O'Hara & <b>Co</b>" if number % 5 == 0 else "Plain"
    if number == 1:
        columns["url"] = "https://shop.example/1"
    if number == 2:
        columns["url"] = "javascript:alert(1)"
    if number == 4:  # as a feed with Google's columns has it
        columns |= {"link": "https://shop.example/4", "mobile_link": "https://m.shop.example/4"}
        columns |= {"sale_price": 9.0, "availability": "out_of_stock", "size": ["S", "M"]}
        columns["description"] = "Warm &amp; soft.<br>Made of wool."
    return {"item_id": f"p/{number}", "columns": columns}


def stored(one: dict[str, Any]) -> dict[str, Any]:
    """As /v1/items has it."""
    name = one["item_id"]
    picture = {"image_id": f"{name}.jpg", "picture": f"/v1/pictures/{name.replace('/', '-')}"}
    return {**one, "category": "", "tags": [], "pictures": [picture]}


PRODUCTS = [product(number) for number in range(60)]
#: The further columns that the shop says it has.
COLUMNS = ("price", "title", "brand", "url", "size", "availability", "sale_price")


class Stub:
    """The server; ``mode`` says how it answers: ok, busy, dead, fault, large, limited, refused,
    slow."""

    def __init__(self) -> None:
        self.reset()
        stub = self

        class Handler(_Handler):
            shop = stub

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def reset(self) -> None:
        self.mode = "ok"
        self.times = 10**9
        self.alike = "same"
        self.keeps = 0
        self.detects = True
        self.grid: list[int] | None = [7, 7]
        self.language = "en"
        self.choices: dict[str, Any] = {}
        self.shared: dict[str, bytes] = {}
        self.renewed = False
        self.wide: set[str] = set()
        self.written: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.removed: set[str] = set()
        self.release = threading.Event()

    def fail(self, mode: str, times: int = 10**9) -> None:
        self.mode, self.times = mode, times

    def write(self, number: int, **columns: Any) -> None:
        """Other columns of a product."""
        self.written[f"p/{number}"] = columns

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def of(self, path: str) -> list[dict[str, Any]]:
        """The fields of each question to a path."""
        return [fields for _, asked, fields in list(self.asked) if asked == path]

    def facets(self, columns: list[str], where: str | None) -> dict[str, Any]:
        met = self.products(where)
        found: dict[str, Any] = {}
        for column in columns:
            values: Counter[Any] = Counter()
            for one in met:
                if column.startswith("tags."):
                    name = column[5:] + "="
                    values.update(
                        t[len(name) :] for t in one["columns"]["tags"] if t.startswith(name)
                    )
                elif column in one["columns"]:
                    value = one["columns"][column]
                    values.update(value if isinstance(value, list) else [value])
            numbers = [v for v in values if isinstance(v, float)]
            found[column] = {
                "items": len(met),
                "values": values.most_common(20),
                "more": 0,
                "low": min(numbers, default=None),
                "high": max(numbers, default=None),
                "bins": [],
            }
        return found

    def products(self, where: str | None) -> list[dict[str, Any]]:
        here = [
            {**one, "columns": one["columns"] | self.written.get(one["item_id"], {})}
            for one in PRODUCTS
            if one["item_id"] not in self.removed
        ]
        if not where:
            return here
        met = Where.parse(where, {name for one in PRODUCTS for name in one["columns"]} - {"tags"})
        return [one for one in here if met.matches({**one["columns"], "item_id": one["item_id"]})]

    def page(self, fields: dict[str, Any]) -> dict[str, Any]:
        met = sorted(self.products(fields.get("where")), key=lambda one: str(one["item_id"]))
        rest = [one for one in met if one["item_id"] > fields.get("after", "")]
        limit = int(fields["limit"])
        return {
            "items": [stored(one) for one in rest[:limit]],
            "counts": {"items": len(met), "pictures": len(met)},
            "after": rest[limit - 1]["item_id"] if len(rest) > limit else None,
            "revision": 1,
        }

    def search(self, fields: dict[str, Any]) -> dict[str, Any]:
        image = cv2.imdecode(np.frombuffer(fields["photo"], np.uint8), cv2.IMREAD_COLOR)
        height, width = image.shape[:2]
        box = [float(v) for v in fields["box"].split(",")] if "box" in fields else None
        found: list[dict[str, Any]] = []
        if fields.get("detect") == "true":
            found = self.garments(width, height)
            box = found[0]["box"]
        answer = self.answer(fields, shift=0 if box is None else round(box[0]))
        weights = [0.01] * 48 + [0.9]
        for hit in answer["hits"] if self.grid else ():
            hit["attention"] = {"grid": [7, 7], "weights": weights}
        return {**answer, "box": box, "size": [width, height], "detections": found}

    @staticmethod
    def garments(width: int, height: int) -> list[dict[str, Any]]:
        sides = (width, height, width, height)
        return [
            {"box": [s * v for s, v in zip(share, sides, strict=True)], "category": kind,
             "group": "upper", "score": 0.9}
            for kind, share in GARMENTS.items()
        ]  # fmt: skip

    def answer(self, fields: dict[str, Any], shift: int = 0) -> dict[str, Any]:
        met = self.products(fields.get("where"))
        shift %= max(1, len(met))
        met = met[shift:] + met[:shift]
        k, offset = int(fields.get("k", 20)), int(fields.get("offset", 0))
        columns = [name for name in str(fields.get("facets", "")).split(",") if name]
        hits = [
            {
                "item_id": one["item_id"],
                "image_id": f"{one['item_id']}.jpg",
                "score": 1 - rank / 100,
                "rank": rank,
                "alike": (self.alike if rank < 3 else "similar" if rank < 9 else "different")
                if self.alike != "different"
                else "different",
                "columns": one["columns"],
                "picture": f"/v1/pictures/{one['item_id'].replace('/', '-')}",
            }
            for rank, one in enumerate(met[offset : offset + k], offset + 1)
        ]
        return {
            "hits": hits,
            "facets": self.facets(columns, fields.get("where")),
            "offset": offset,
            "more": offset + k < len(met),
            "revision": 1,
            "timings_ms": {"total": 1.0},
            "search_id": f"s{len(self.asked)}",
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A question that the page no longer waits for is no error."""


class _Handler(BaseHTTPRequestHandler):
    shop: Stub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({})

    def do_DELETE(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        self._answer(_fields(self.headers.get("content-type", ""), self.rfile.read(length)))

    def _answer(self, body: dict[str, Any]) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        if not path.startswith("/v1/"):
            return self._file({"/": "index.html", "/admin": "admin.html"}.get(path) or path[8:])
        if re.match(r"/v1/pictures/", path):
            return self._picture(int(path.rsplit("-", 1)[1].removesuffix(".jpg")))
        fields = {**{k: v[0] for k, v in parse_qs(parts.query).items()}, **body}
        shop = self.shop
        shop.asked.append((self.command, path, fields))
        mode = shop.mode if shop.times > 0 else "ok"
        shop.times -= 1
        if mode == "dead":
            self.close_connection = True
            self.connection.close()
            return None
        if mode == "slow":
            shop.release.wait(30)
        failures = {"busy": 503, "fault": 500, "limited": 429, "large": 413}
        if mode in failures:
            return self._problem(failures[mode], "as told")
        guarded = mode == "refused" or path.startswith("/v1/admin/") or self.command == "DELETE"
        if guarded and self.headers.get("authorization") != f"Bearer {KEY}":
            return self._problem(401, "a key is needed")
        return self._ask(path, fields)

    def _ask(self, path: str, fields: dict[str, Any]) -> None:
        shop = self.shop
        try:
            shop.products(fields.get("where"))
        except UsageError as error:
            return self._problem(400, str(error))
        if path == "/v1/search":
            if cv2.imdecode(np.frombuffer(fields["photo"], np.uint8), 1) is None:
                return self._problem(415, "no picture")
            return self._json(shop.search(fields))
        if path == "/v1/detect":
            image = cv2.imdecode(np.frombuffer(fields["photo"], np.uint8), 1)
            height, width = image.shape[:2]
            found = shop.garments(width, height)
            return self._json({"size": [width, height], "detections": found})
        if path == "/v1/info":
            names = [("a-hoodie", "red-hoodie"), ("a-coat", "pink-coat")]
            samples = [{"name": n, "photo": f"/static/samples/{f}.jpg"} for n, f in names]
            catalog = {"items": 60, "pictures": 60, "columns": list(COLUMNS)}
            catalog["tags"] = ["color", "pattern"]
            bundle = {"name": "stub", "grid": shop.grid}
            return self._json(
                {"bundle": bundle, "catalog": catalog, "detector": shop.detects, "samples": samples,
                 "limits": {"max_k": 200}, "keeps_photos": shop.keeps,
                 "page": shop.choices}
            )  # fmt: skip
        if path == "/v1/facets":
            return self._json({"facets": shop.facets([fields["columns"]], fields.get("where"))})
        if path == "/v1/photos":
            shop.shared["f" * 32] = fields["photo"]
            return self._json({"id": "f" * 32, "seconds": 86400})
        if path.startswith("/v1/photos/"):
            name, _, search = path[11:].partition("/")
            data = shop.shared.get(name)
            if data is None or (search and shop.renewed):
                return self._problem(410 if data else 404, "its day is over")
            if search:
                return self._json(shop.search({**fields, "photo": data}))
            return self._send(200, "image/jpeg", data)
        if path == "/v1/feedback":
            return self._json({"kept": True})
        if path == "/v1/items":
            return self._json(shop.page(fields))
        if path.startswith("/v1/items/"):
            return self._item(path[10:], fields)
        from helpers.page_stub_admin import answer_admin

        status, value = answer_admin(shop, self.command, path, fields)
        return self._json(value, status)

    def _item(self, name: str, fields: dict[str, Any]) -> None:
        like = name.endswith("/similar")
        name = name.removesuffix("/similar")
        number = int(name[2:]) if re.fullmatch(r"p/\d+", name) else -1
        if not 0 <= number < 60 or name in self.shop.removed:
            return self._problem(404, "the catalogue has no such product")
        if like:
            answer = self.shop.answer(fields, shift=number + 1)
            return self._json(answer)
        if self.command == "DELETE":
            self.shop.removed.add(name)
            return self._json({"item_id": name, "status": "removed", "pictures": 1})
        one = stored(PRODUCTS[number])
        if fields.get("why"):
            one["pictures"][0]["attention"] = {"grid": [2, 2], "weights": [0.1, 0.2, 0.3, 0.4]}
        return self._json(one)

    def _json(self, value: Any, status: int = 200, kind: str = "application/json") -> None:
        self._send(status, kind, json.dumps(value).encode())

    def _problem(self, status: int, detail: str) -> None:
        value = {"title": detail, "status": status, "detail": detail, "request_id": "r-123"}
        self._json(value, status, "application/problem+json")

    def _picture(self, number: int) -> None:
        width = 160 if f"p/{number}" in self.shop.wide else 80
        image = np.full((100, width, 3), 255, np.uint8)
        colour = list(_COLOURS.values())[number // 4 % 4]
        image[15:85, 15:65] = colour[::-1]
        self._send(200, "image/jpeg", cv2.imencode(".jpg", image)[1].tobytes())

    def _file(self, name: str) -> None:
        path = PAGE / name
        if not path.is_file():
            return self._problem(404, "there is nothing here")
        kind = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(name)[0]
        lang = self.shop.language.encode()
        data = path.read_bytes().replace(b'lang="en"', b'lang="%s"' % lang)
        return self._send(200, str(kind), data)

    def _send(self, status: int, kind: str, data: bytes) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(data)), "Retry-After": "1"}
        headers["Content-Security-Policy"] = CSP
        headers["X-Content-Type-Options"] = "nosniff"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _fields(kind: str, body: bytes) -> dict[str, Any]:
    if kind.startswith("application/json"):
        value: dict[str, Any] = json.loads(body)
        return value
    if not kind.startswith("multipart/"):
        return {}
    head = f"Content-Type: {kind}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    fields: dict[str, Any] = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        if part.get_filename() is None:
            fields[name] = data.decode()
        else:
            fields[name] = data
            fields.setdefault(f"{name}:names", []).append(part.get_filename())
    fields["at"] = time.monotonic()
    return fields
