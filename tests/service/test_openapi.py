"""The OpenAPI document against what is answered: no 5xx, no answer that it doesn't name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as tried_with
from schemathesis.specs.openapi import checks

from helpers.service_thread import listening
from hemline import limits
from hemline.catalog.where.expression import Where
from hemline.errors import UsageError
from hemline.service.settings import Settings
from hemline.types import PageRequest, SearchRequest

#: Each endpoint is tried so often here.
EXAMPLES = 6
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def url(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a service with a catalogue of its own, in a thread."""
    shop = shutil.copytree(made / "shop", tmp_path_factory.mktemp("api") / "shop")
    with listening(Settings(Path(shop), port=0)) as url:
        yield url


@schemathesis.serializer("application/jsonl")
def json_lines(_: Any, value: Any) -> Any:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def test_every_answer_is_documented(url: str) -> None:
    api = schemathesis.openapi.from_url(f"{url}/v1/openapi.json")
    tried = set()
    for operation in api.get_all_operations():
        try_out(operation.ok())
        tried.add(operation.ok().label)
    assert len(tried) >= 20


def try_out(operation: Any) -> None:
    @given(case=operation.as_strategy())
    @tried_with(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        case.validate_response(case.call(), checks=CHECKS)

    ask()


def test_the_document_has_the_limits_of_engine_and_parser(url: str) -> None:
    paths = httpx.get(f"{url}/v1/openapi.json").json()["paths"]
    body = paths["/v1/search"]["post"]["requestBody"]["content"]
    form, json = (body[media]["schema"]["properties"] for media in sorted(body, reverse=True))
    request = PageRequest.model_json_schema()["properties"]
    assert request["k"]["maximum"] == limits.MAX_RANK
    for fields in (form, json):
        assert (fields["k"]["minimum"], fields["k"]["maximum"]) == (1, limits.MAX_HITS)
        assert fields["k"]["default"] == request["k"]["default"] == limits.DEFAULT_K
        assert fields["offset"]["exclusiveMaximum"] == request["offset"]["exclusiveMaximum"]
    assert form["photo"]["maxItems"] == json["photo"]["anyOf"][1]["maxItems"] == limits.MAX_PHOTOS
    assert form["where"]["maxLength"] == limits.MAX_WHERE
    assert json["where"]["anyOf"][0]["maxLength"] == limits.MAX_WHERE
    for path in ("/v1/items/{item_id}/similar", "/v1/facets", "/v1/items"):
        (where,) = (p for p in paths[path]["get"]["parameters"] if p["name"] == "where")
        assert where["schema"]["anyOf"][0]["maxLength"] == limits.MAX_WHERE
    long = "price < 1" + " " * (limits.MAX_WHERE - 9)
    assert SearchRequest(item_id="a", where=long).where == long
    assert Where.parse(long, ["price"]).columns == {"price"}
    for parse in (lambda text: SearchRequest(item_id="a", where=text), Where.parse):
        with pytest.raises(UsageError, match="at most"):
            parse(long + " ")


def test_the_document_is_whole(url: str) -> None:
    document = httpx.get(f"{url}/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    paths = set(document["paths"])
    assert paths >= {
        "/v1/search", "/v1/detect", "/v1/items", "/v1/items/{item_id}", "/v1/items:bulk",
        "/v1/items/{item_id}/similar", "/v1/facets", "/v1/pictures/{picture_id}", "/v1/feedback",
        "/v1/feedback/export", "/v1/info", "/v1/admin/stats", "/v1/admin/manifest",
        "/v1/admin/check", "/v1/admin/jobs/{job_id}", "/healthz", "/readyz", "/metrics",
    }  # fmt: skip
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            assert method != "get" or "requestBody" not in told
            refused = told["responses"]["422"]["content"]
            assert list(refused) == ["application/problem+json"], (path, method)
