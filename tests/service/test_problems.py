"""Errors of the package as problem details."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from hemline.errors import (
    BundleError,
    BusyError,
    CatalogBusy,
    CatalogError,
    HemlineError,
    ImageError,
    NoDetectorError,
    UnknownItemError,
    UsageError,
)
from hemline.service.problems import of_error


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (ImageError("x"), 422, "bad-picture"),
        (UsageError("x"), 422, "bad-request"),
        (NoDetectorError("x"), 422, "no-detector"),
        (UnknownItemError("x"), 404, "no-item"),
        (BusyError("x"), 503, "busy"),
        (CatalogBusy("x"), 503, "busy"),
        (BundleError("x"), 500, "bundle"),
        (CatalogError("x"), 500, "failed"),
    ],
)
def test_each_error_has_its_status(error: HemlineError, status: int, kind: str) -> None:
    problem = of_error(error)
    assert (problem.status, problem.kind) == (status, kind)
    assert (status == 503) == ("Retry-After" in problem.headers)
    assert status < 500 or status == 503 or "x" not in problem.detail.split()


def test_a_full_encoder_queue_is_503(
    client: TestClient, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise BusyError("too many photos are waiting; try again in a second")

    service: Any = client.app.state.service  # type: ignore[attr-defined]
    monkeypatch.setattr(service.engine.encoder, "encode_street", full)
    answer = client.post("/v1/search", files={"photo": photo})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == "urn:hemline:problem:busy"
    assert "waiting" in answer.json()["detail"]


def test_a_catalogue_without_detector_says_so(open_client: Any, photo: bytes) -> None:
    client = open_client()
    engine = client.app.state.service.engine
    engine.catalog.live().bundle.info.detector = engine._reader._detector = None
    for path, data in (("/v1/search", {"detect": "true"}), ("/v1/detect", {})):
        answer = client.post(path, files={"photo": photo}, data=data)
        assert (answer.status_code, answer.json()["type"]) == (
            422,
            "urn:hemline:problem:no-detector",
        )
