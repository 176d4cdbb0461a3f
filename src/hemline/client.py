"""A client of a served catalogue, with the names of the API (docs/service.md).

    with hemline.Client("http://127.0.0.1:8000") as client:
        answer = client.search("street.jpg", k=5, where="price < 50")
        print(answer.hits[0].item_id, answer.hits[0].alike)

It needs ``pip install hemline[serve]``. A busy server is asked again, as it says when.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hemline.errors import HemlineError
from hemline.types import Box, Detection

if TYPE_CHECKING:
    import httpx2 as httpx

__all__ = ["Client", "ServiceError", "ServiceHit", "ServiceResult"]

#: A picture: a file's path, or its bytes.
Photo = bytes | str | os.PathLike[str]
_RETRIES, _LONGEST = 4, 5.0  # seconds


class ServiceError(HemlineError):
    """What the server refused, or that it can't be reached.

    Attributes:
        status: of HTTP; 0 where there was no answer.
        kind: the last part of the problem's type.
        request_id: under which the server's log has it.
    """

    def __init__(self, message: str, status: int = 0, kind: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.status, self.kind, self.request_id = status, kind, request_id


@dataclass(frozen=True, slots=True)
class ServiceHit:
    """One product that was found; as `hemline.types.Hit`, over the wire.

    Attributes:
        item_id, image_id, score, rank, columns: as of a hit.
        alike: ``same``, ``similar``, ``different``, or None where the bundle doesn't say.
        picture: the address of its picture below the service's, or None.
        attention: (grid [rows, columns], weights row by row) over the box, or None.
    """

    item_id: str
    image_id: str
    score: float
    rank: int
    columns: Mapping[str, Any]
    alike: str | None = None
    picture: str | None = None
    attention: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ServiceResult:
    """An answer; as `hemline.types.SearchResult`, over the wire.

    Attributes:
        hits, offset, more, revision, facets, timings_ms, box, detections: as of a result.
        size: (width, height) of the upright photo, or None of `Client.similar`.
        search_id: for `Client.feedback`.
    """

    hits: tuple[ServiceHit, ...]
    timings_ms: Mapping[str, float]
    offset: int = 0
    more: bool = False
    revision: int = 0
    facets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    box: Box | None = None
    size: tuple[int, int] | None = None
    detections: tuple[Detection, ...] = ()
    search_id: str = ""


class Client:
    """Speaks to one service; may be used by several threads."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        *,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """
        Args:
            url: of the service.
            key: of ``hemline key create``; the variable HEMLINE_KEY by default.
            timeout: seconds that an answer may take.
            transport: instead of the network, for tests.
        """
        import httpx2 as httpx

        key = key or os.environ.get("HEMLINE_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # Searching

    def search(
        self,
        photo: Photo | Sequence[Photo],
        k: int = 20,
        box: Box | Sequence[float] | None = None,
        where: str | None = None,
        *,
        offset: int = 0,
        facets: Sequence[str] = (),
        detect: bool = False,
        why: bool = False,
    ) -> ServiceResult:
        """The products that look most like the one in a photo; several photos are of one product.

        Raises:
            ServiceError: the server refuses, or can't be reached.
        """
        photos = [photo] if isinstance(photo, bytes | str | os.PathLike) else list(photo)
        fields: dict[str, str] = {"k": str(k), "offset": str(offset)}
        if box is not None:
            fields["box"] = ",".join(repr(float(value)) for value in box)
        if where is not None:
            fields["where"] = where
        if facets:
            fields["facets"] = ",".join(facets)
        fields |= {name: "true" for name, on in (("detect", detect), ("why", why)) if on}
        files = [("photo", _file(one)) for one in photos]
        return _result(self._json("POST", "/v1/search", data=fields, files=files))

    def detect(self, photo: Photo) -> tuple[Detection, ...]:
        """The garments of a photo, best first."""
        answer = self._json("POST", "/v1/detect", files=[("photo", _file(photo))])
        return _detections(answer)

    def similar(
        self,
        item_id: str,
        k: int = 20,
        where: str | None = None,
        *,
        offset: int = 0,
        facets: Sequence[str] = (),
    ) -> ServiceResult:
        """More like a product of the catalogue."""
        asked: dict[str, Any] = {"k": k, "offset": offset}
        asked |= {"where": where} if where else {}
        asked |= {"facets": ",".join(facets)} if facets else {}
        return _result(self._json("GET", f"{_item(item_id)}/similar", params=asked))

    def facets(self, columns: Sequence[str], where: str | None = None) -> dict[str, Any]:
        """Column → its values with counts."""
        asked = {"columns": ",".join(columns)} | ({"where": where} if where else {})
        found: dict[str, Any] = self._json("GET", "/v1/facets", params=asked)["facets"]
        return found

    def feedback(self, search_id: str, item_id: str, right: bool) -> None:
        """Says that a hit was right or wrong."""
        body = {"search_id": search_id, "item_id": item_id, "right": right}
        self._json("POST", "/v1/feedback", json=body)

    def triplets(self) -> Iterator[dict[str, Any]]:
        """What was judged, as training triplets (write key)."""
        for line in self._send("GET", "/v1/feedback/export").text.splitlines():
            yield json.loads(line)

    # Products

    def item(self, item_id: str, *, why: bool = False) -> dict[str, Any]:
        """A product with its pictures."""
        return self._json("GET", _item(item_id), params={"why": "true"} if why else None)

    def items(
        self, limit: int = 50, after: str | None = None, where: str | None = None
    ) -> dict[str, Any]:
        """A page of at most ``limit`` (200) products in the order of their ids, from ``after`` on.

        Gives ``items`` (each as of `item`), ``counts`` (``items`` and ``pictures`` of all pages),
        ``after`` for the next page (None of the last one) and ``revision``.
        """
        asked: dict[str, Any] = {"limit": limit}
        asked |= {name: value for name, value in (("after", after), ("where", where)) if value}
        return self._json("GET", "/v1/items", params=asked)

    def put_item(
        self,
        item_id: str,
        pictures: Sequence[Photo] | None = None,
        *,
        columns: Mapping[str, Any] | None = None,
        category: str = "",
        tags: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Stores a product as it is given; without pictures it keeps those that it has."""
        body: dict[str, Any] = {"columns": dict(columns or {}), "category": category}
        body["tags"] = list(tags)
        if pictures is None:
            return self._json("PUT", _item(item_id), json=body)
        files = [("picture", _file(one)) for one in pictures]
        return self._json("PUT", _item(item_id), data={"item": json.dumps(body)}, files=files)

    def patch_item(
        self,
        item_id: str,
        columns: Mapping[str, Any] | None = None,
        *,
        category: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Changes some columns of a product; one that is None is taken out."""
        body: dict[str, Any] = {"columns": dict(columns or {})}
        body |= {} if category is None else {"category": category}
        body |= {} if tags is None else {"tags": list(tags)}
        return self._json("PATCH", _item(item_id), json=body)

    def delete_item(self, item_id: str) -> dict[str, Any]:
        """Takes a product out."""
        return self._json("DELETE", _item(item_id))

    def bulk(self, products: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Stores many products, read and sent one after the other.

        Args:
            products: each with ``item_id`` and, as of `put_item`, ``columns``, ``category``,
                ``tags``, ``pictures``; or with ``delete``: True.

        Yields:
            For each what became of it: ``line``, ``item_id``, ``status`` and, where it was refused,
            ``problem``.
        """

        def lines() -> Iterator[bytes]:
            for product in products:
                line = dict(product)
                if line.get("pictures") is not None:
                    line["pictures"] = [_base64(picture) for picture in line["pictures"]]
                yield json.dumps(line).encode() + b"\n"

        headers = {"Content-Type": "application/jsonl"}
        sent = self._once("POST", "/v1/items:bulk", content=lines(), headers=headers)
        for line in sent.text.splitlines():
            yield json.loads(line)

    def picture(self, address: str) -> bytes:
        """The JPEG bytes behind a hit's ``picture``."""
        return self._send("GET", address).content

    # The service

    def info(self) -> dict[str, Any]:
        """Bundle, catalogue and limits."""
        return self._json("GET", "/v1/info")

    def stats(self) -> dict[str, Any]:
        """Size, health and timings (write key)."""
        return self._json("GET", "/v1/admin/stats")

    def check(self) -> dict[str, Any]:
        """Begins the built-in check; gives its job (write key)."""
        return self._json("POST", "/v1/admin/check")

    def upload(self, manifest: Photo, pictures: Sequence[Photo] = ()) -> dict[str, Any]:
        """Uploads a feed, or a zip with its pictures; gives its job (write key)."""
        files = [("manifest", _file(manifest)), *(("picture", _file(p)) for p in pictures)]
        return self._json("POST", "/v1/admin/manifest", files=files)

    def job(self, job_id: str, *, wait: float = 0.0) -> dict[str, Any]:
        """How far a job is; waits up to ``wait`` seconds for its end."""
        end = time.monotonic() + wait
        while True:
            job = self._json("GET", f"/v1/admin/jobs/{quote(job_id, safe='')}")
            if job["state"] in ("done", "failed") or time.monotonic() >= end:
                return job
            time.sleep(min(0.2, max(0.0, end - time.monotonic())))

    # Inside

    def _json(self, method: str, path: str, **asked: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._send(method, path, **asked).json()
        return answer

    def _send(self, method: str, path: str, **asked: Any) -> httpx.Response:
        """Asks again where the server is busy."""
        for left in reversed(range(_RETRIES)):
            try:
                return self._once(method, path, **asked)
            except _Busy as busy:
                if not left:
                    raise busy.error from None
                time.sleep(min(busy.seconds, _LONGEST))
        raise AssertionError("the last try raises or returns")

    def _once(self, method: str, path: str, **asked: Any) -> httpx.Response:
        import httpx2 as httpx

        try:
            answer = self._http.request(method, path, **asked)
        except httpx.TransportError as error:
            raise ServiceError(f"{self._http.base_url} can't be reached: {error}") from None
        if answer.is_success:
            return answer
        refused = _error(answer)
        wait = answer.headers.get("retry-after", "")
        if answer.status_code in (429, 503) and wait.isdigit() and "content" not in asked:
            raise _Busy(refused, float(wait))
        raise refused


class _Busy(Exception):
    def __init__(self, error: ServiceError, seconds: float) -> None:
        super().__init__()
        self.error, self.seconds = error, seconds


def _error(answer: httpx.Response) -> ServiceError:
    try:
        problem = answer.json()
        kind = str(problem["type"]).rpartition(":")[2]
        return ServiceError(problem["detail"], answer.status_code, kind, problem["request_id"])
    except (ValueError, KeyError, TypeError):
        return ServiceError(f"the server answered {answer.status_code}", answer.status_code)


def _item(item_id: str) -> str:
    return f"/v1/items/{quote(item_id, safe='')}"


def _file(photo: Photo) -> tuple[str, bytes]:
    """
    Raises:
        ServiceError: the file can't be read.
    """
    if isinstance(photo, bytes):
        return "photo", photo
    path = Path(photo)
    try:
        return path.name, path.read_bytes()
    except OSError as error:
        raise ServiceError(f"{path} can't be read: {error.strerror}") from None


def _base64(picture: Any) -> str:
    return base64.b64encode(_file(picture)[1]).decode("ascii")


def _result(answer: Mapping[str, Any]) -> ServiceResult:
    box, size = answer.get("box"), answer.get("size")
    return ServiceResult(
        hits=tuple(ServiceHit(**hit) for hit in answer["hits"]),
        timings_ms=answer["timings_ms"],
        offset=answer["offset"],
        more=answer["more"],
        revision=answer["revision"],
        facets=answer["facets"],
        box=None if box is None else Box(*box),
        size=None if size is None else (size[0], size[1]),
        detections=_detections(answer),
        search_id=answer.get("search_id", ""),
    )


def _detections(answer: Mapping[str, Any]) -> tuple[Detection, ...]:
    return tuple(
        Detection(Box(*one["box"]), one["category"], one["score"])
        for one in answer.get("detections", ())
    )
