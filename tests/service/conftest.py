"""A served catalogue of flat-coloured products, small enough for a test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from helpers.small_shop import manifest
from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector
from hemline.bundle import ScoreThresholds, read_info, write_info
from hemline.catalog.catalog import Catalog
from hemline.cli import main
from hemline.data.images import encode_jpeg
from hemline.runtime.bundle import Bundle
from hemline.service.app import create_app
from hemline.service.settings import Settings

HOME = "http://127.0.0.1:8000"
Open = Callable[..., TestClient]
Report = Callable[..., dict[str, Any]]  # options of the doctor → its result


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of six products with two pictures each; its bundle has a detector."""
    root = tmp_path_factory.mktemp("service")
    bundle = make_tiny_bundle(root / "bundle")
    put_tiny_detector(bundle)
    alike = ScoreThresholds(
        same=0.95, similar=0.5, data={"items": ["item0", "item1"], "tells_absent": True}
    )
    write_info(bundle, read_info(bundle).model_copy(update={"alike": alike}))
    with Catalog.create(root / "shop", Bundle.open(bundle)) as catalog:
        catalog.add(manifest(root / "pictures", 12))
    return root


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> Path:
    """The catalogue's folder, this test's own."""
    return Path(shutil.copytree(made / "shop", tmp_path / "shop"))


@pytest.fixture
def report(shop: Path, capsys: pytest.CaptureFixture[str]) -> Report:
    """Runs it with options; the result, with the findings of each check by name."""

    def run(*options: str, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert main(["doctor", str(shop), *options, "--json"]) == code
        result = json.loads(capsys.readouterr().out)
        result["by"] = {}
        for finding in result["findings"]:
            assert bool(finding["advice"]) == (finding["status"] != "ok"), finding
            result["by"].setdefault(finding["check"], []).append(finding)
        return result

    return run


@pytest.fixture
def open_client(shop: Path) -> Iterator[Open]:
    """Opens clients of services over the catalogue; settings by name."""
    with ExitStack() as stack:

        def open_one(**settings: Any) -> TestClient:
            app = create_app(Settings(shop, **settings))
            client = TestClient(app, base_url=HOME, raise_server_exceptions=False)
            return stack.enter_context(client)

        yield open_one


@pytest.fixture
def client(open_client: Open) -> TestClient:
    """A client on this machine, where no key is needed."""
    return open_client()


@pytest.fixture
def photo(made: Path) -> bytes:
    """A picture of the first product."""
    return (made / "pictures/0.jpg").read_bytes()


def coloured(*rgb: int, size: tuple[int, int] = (40, 30)) -> bytes:
    """A JPEG of one colour; ``size`` is (width, height)."""
    import numpy as np

    return encode_jpeg(np.full((size[1], size[0], 3), rgb, np.uint8))
