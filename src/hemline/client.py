"""A client of a served catalogue (docs/service.md).

    with hemline.Client("http://127.0.0.1:8000") as client:
        answer = client.search("street.jpg", k=5, where="price < 50")
        print(answer.hits[0].item_id, answer.hits[0].alike)

It needs ``pip install hemline[serve]``. While the server is busy, a request is sent again.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from hemline.errors import HemlineError, UsageError
from hemline.limits import DEFAULT_K
from hemline.types import Box, Detection, Hit, SearchRequest, SearchResult

if TYPE_CHECKING:
    import httpx2 as httpx

#: The path or the bytes of an image file.
Photo = bytes | str | os.PathLike[str]
#: Attempts of a request, and the longest pause between two of them in seconds.
_RETRIES, _LONGEST = 4, 5.0


class ServiceError(HemlineError):
    """The server refuses a request, or can't be reached.

    Attributes:
        status: of HTTP; 0 without an answer.
        kind: the last part of the problem's type.
        request_id: of the request in the server's log.
        retry_after: seconds after which a busy server takes the request again, or None.
    """

    def __init__(
        self,
        message: str,
        status: int = 0,
        kind: str = "",
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.request_id = status, kind, request_id
        self.retry_after = retry_after


class Client:
    """A client of one service; safe to call from several threads."""

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
            timeout: seconds to wait for an answer.
            transport: used instead of the network, for tests.
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

    def search(
        self,
        photos: Photo | Sequence[Photo],
        k: int = DEFAULT_K,
        box: Box | Sequence[float] | None = None,
        where: str | None = None,
        *,
        offset: int = 0,
        facets: Sequence[str] = (),
        detect: bool = False,
        every: bool = False,
        why: bool = False,
    ) -> SearchResult:
        """Finds the ``k`` products most similar to the one in a photo, or in several photos of it.

        Args and errors are those of `hemline.Engine.search` and `answer`; ``why`` adds the
        ``attention`` of hits.
        """
        return self.answer(
            SearchRequest(
                photos=photos,  # type: ignore[arg-type]  # one photo is accepted as well
                boxes=() if box is None else (Box.parse(box),),
                detect=detect,
                every=every,
                attention=why,
                k=k,
                offset=offset,
                where=where,
                facets=tuple(facets),
            )
        )

    def similar(
        self,
        item_id: str,
        k: int = DEFAULT_K,
        where: str | None = None,
        *,
        offset: int = 0,
        facets: Sequence[str] = (),
    ) -> SearchResult:
        """Finds the products most similar to a product of the catalogue; as `search`."""
        columns = tuple(facets)
        return self.answer(
            SearchRequest(item_id=item_id, k=k, where=where, offset=offset, facets=columns)
        )

    def answer(self, request: SearchRequest) -> SearchResult:
        """Sends a request; its photos are files or bytes, and only a single one may have a box.

        Raises:
            UsageError: a request that the service has no form for.
            ServiceError: the server refuses, or can't be reached.
        """
        fields = {"k": str(request.k), "offset": str(request.offset)}
        fields |= {"where": request.where} if request.where else {}
        fields |= {"facets": ",".join(request.facets)} if request.facets else {}
        if request.item_id is not None:
            return _result(self._json("GET", f"{_item(request.item_id)}/similar", params=fields))
        photos = [photo for photo in request.photos if not isinstance(photo, np.ndarray)]
        if not photos or len(photos) != len(request.photos) or len(request.boxes) > 1:
            raise UsageError(
                "a service takes photos as files or bytes, and a box only with a single photo; for "
                "arrays, embeddings and a box for each of several photos use hemline.Engine"
            )
        for box in request.boxes:
            fields |= {} if box is None else {"box": ",".join(repr(float(value)) for value in box)}
        flags = {"detect": request.detect, "every": request.every, "why": request.attention}
        fields |= {name: "true" for name, on in flags.items() if on}
        files = [("photo", _file(photo)) for photo in photos]
        return _result(self._json("POST", "/v1/search", data=fields, files=files))

    def detect(self, photo: Photo) -> tuple[Detection, ...]:
        """The garments of a photo, best score first."""
        return _detections(self._json("POST", "/v1/detect", files=[("photo", _file(photo))]))

    def facets(self, columns: Sequence[str], where: str | None = None) -> dict[str, Any]:
        """Column → its values with counts."""
        params = {"columns": ",".join(columns)} | ({"where": where} if where else {})
        counts: dict[str, Any] = self._json("GET", "/v1/facets", params=params)["facets"]
        return counts

    def feedback(self, search_id: str, item_id: str, right: bool) -> None:
        """Records that a hit was right or wrong."""
        feedback = {"search_id": search_id, "item_id": item_id, "right": right}
        self._json("POST", "/v1/feedback", json=feedback)

    def triplets(self) -> Iterator[dict[str, Any]]:
        """The feedback as training triplets (write key)."""
        export = self._http.build_request("GET", "/v1/feedback/export")
        for line in self._send(export).text.splitlines():
            yield json.loads(line)

    def item(self, item_id: str, *, why: bool = False) -> dict[str, Any]:
        """A product with its images."""
        return self._json("GET", _item(item_id), params={"why": "true"} if why else None)

    def items(
        self, limit: int = 50, after: str | None = None, where: str | None = None
    ) -> dict[str, Any]:
        """A page of at most ``limit`` (200) products in the order of their ids, after ``after``.

        Returns ``items`` (each as of `item`), ``counts`` (``items`` and ``pictures`` of all pages),
        ``after`` for the next page (None on the last) and ``revision``.
        """
        params = {"limit": str(limit)}
        params |= {name: value for name, value in (("after", after), ("where", where)) if value}
        return self._json("GET", "/v1/items", params=params)

    def put_item(
        self,
        item_id: str,
        pictures: Sequence[Photo] | None = None,
        *,
        columns: Mapping[str, Any] | None = None,
        category: str = "",
        tags: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Stores a product; without ``pictures`` it keeps the images that it has."""
        body = {"columns": dict(columns or {}), "category": category, "tags": list(tags)}
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
        """Changes columns of a product; a column that is None is removed."""
        body: dict[str, Any] = {"columns": dict(columns or {})}
        body |= {} if category is None else {"category": category}
        body |= {} if tags is None else {"tags": list(tags)}
        return self._json("PATCH", _item(item_id), json=body)

    def delete_item(self, item_id: str) -> dict[str, Any]:
        """Removes a product."""
        return self._json("DELETE", _item(item_id))

    def bulk(self, products: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Stores many products; they are read and sent one by one.

        Args:
            products: each with ``item_id`` and, as in `put_item`, ``columns``, ``category``,
                ``tags``, ``pictures``; or with ``delete``: True. Names of feeds (``sku``,
                ``price`` …) are known, too; only ``pictures`` may be files.

        Yields:
            For each its ``line``, ``item_id``, ``status`` and, where it is refused, ``problem``.
        """

        def lines() -> Iterator[bytes]:
            for product in products:
                line = dict(product)
                if line.get("pictures") is not None:
                    files = [_file(picture)[1] for picture in line["pictures"]]
                    line["pictures"] = [base64.b64encode(data).decode() for data in files]
                yield json.dumps(line).encode() + b"\n"

        headers = {"Content-Type": "application/jsonl"}
        request = self._http.build_request(
            "POST", "/v1/items:bulk", content=lines(), headers=headers
        )
        for line in self._once(request).text.splitlines():
            yield json.loads(line)

    def picture(self, address: str) -> bytes:
        """The JPEG bytes of a stored image, by a hit's ``image_digest`` or a JSON's ``picture``."""
        path = address if address.startswith("/") else f"/v1/pictures/{quote(address, safe='')}"
        path = path.removeprefix(self._http.base_url.path.rstrip("/"))  # the service's --root-path
        return self._send(self._http.build_request("GET", path)).content

    def info(self) -> dict[str, Any]:
        """The bundle, the catalogue and the limits."""
        return self._json("GET", "/v1/info")

    def stats(self) -> dict[str, Any]:
        """Size, health and timings (write key)."""
        return self._json("GET", "/v1/admin/stats")

    def check(self) -> dict[str, Any]:
        """Starts the built-in check; returns its job (write key)."""
        return self._json("POST", "/v1/admin/check")

    def upload(self, manifest: Photo, pictures: Sequence[Photo] = ()) -> dict[str, Any]:
        """Uploads a feed, or a zip with its images; returns its job (write key)."""
        files = [("manifest", _file(manifest)), *(("picture", _file(p)) for p in pictures)]
        return self._json("POST", "/v1/admin/manifest", files=files)

    def job(self, job_id: str, *, wait: float = 0.0) -> dict[str, Any]:
        """The state of a job; waits up to ``wait`` seconds for its end."""
        end = time.monotonic() + wait
        while True:
            job = self._json("GET", f"/v1/admin/jobs/{quote(job_id, safe='')}")
            left = end - time.monotonic()
            if job["state"] in ("done", "failed") or left <= 0:
                return job
            time.sleep(min(0.2, left))

    def _json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        data: Mapping[str, str] | None = None,
        files: Sequence[tuple[str, tuple[str, bytes]]] | None = None,
    ) -> dict[str, Any]:
        request = self._http.build_request(
            method, path, params=params, json=json, data=data, files=files
        )
        answer: dict[str, Any] = self._send(request).json()
        return answer

    def _send(self, request: httpx.Request) -> httpx.Response:
        """Sends a request, and sends it again while the server is busy."""
        for _ in range(_RETRIES - 1):
            try:
                return self._once(request)
            except ServiceError as error:
                if error.retry_after is None:
                    raise
                time.sleep(min(error.retry_after, _LONGEST))
        return self._once(request)

    def _once(self, request: httpx.Request) -> httpx.Response:
        import httpx2 as httpx

        try:
            answer = self._http.send(request)
        except httpx.TransportError as error:
            raise ServiceError(f"{self._http.base_url} can't be reached: {error}") from None
        if answer.is_success:
            return answer
        raise _error(answer)


def _error(answer: httpx.Response) -> ServiceError:
    status, wait = answer.status_code, answer.headers.get("retry-after", "")
    retry_after = float(wait) if status in (429, 503) and wait.isdigit() else None
    try:
        problem = answer.json()
        detail, request_id = problem["detail"], problem["request_id"]
        kind = problem["type"].rpartition(":")[2]
        return ServiceError(detail, status, kind, request_id, retry_after)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ServiceError(f"the server answered {status}", status, retry_after=retry_after)


def _item(item_id: str) -> str:
    return f"/v1/items/{quote(item_id, safe='')}"


def _file(photo: Photo) -> tuple[str, bytes]:
    """Name and bytes; raises `ServiceError` where the file can't be read."""
    if isinstance(photo, bytes):
        return "photo", photo
    path = Path(photo)
    try:
        return path.name, path.read_bytes()
    except OSError as error:
        raise ServiceError(f"{path} can't be read: {error.strerror}") from None


def _result(answer: Mapping[str, Any]) -> SearchResult:
    box, size = answer.get("box"), answer.get("size")
    return SearchResult(
        hits=tuple(_hit(hit) for hit in answer["hits"]),
        timings_ms=answer["timings_ms"],
        box=None if box is None else Box(*box),
        offset=answer["offset"],
        more=answer["more"],
        revision=answer["revision"],
        facets=answer["facets"],
        detections=_detections(answer),
        size=None if size is None else (size[0], size[1]),
        search_id=answer["search_id"],
        note=answer.get("note", ""),
    )


def _hit(hit: Mapping[str, Any]) -> Hit:
    attention = hit.get("attention")
    return Hit(
        image_id=hit["image_id"],
        item_id=hit["item_id"],
        score=hit["score"],
        rank=hit["rank"],
        columns=hit["columns"],
        attention=None
        if attention is None
        else np.asarray(attention["weights"], np.float32).reshape(attention["grid"]),
        image_digest=(hit["picture"] or "").rpartition("/")[2],
        alike=hit["alike"],
    )


def _detections(answer: Mapping[str, Any]) -> tuple[Detection, ...]:
    return tuple(
        Detection(Box(*one["box"]), one["category"], one["score"])
        for one in answer.get("detections", ())
    )
