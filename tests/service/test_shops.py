"""Several catalogues in one service: each at its own address, with its own keys."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from helpers.service_process import Running
from hemline.cli import main
from hemline.errors import CatalogError, UsageError
from hemline.service import run
from hemline.service.keys import KeyRing
from hemline.service.logs import JsonLines
from hemline.service.settings import Settings
from hemline.service.shops import Shops

HOME = "http://127.0.0.1:8000"
Opened = tuple[Shops, TestClient]
Open = Callable[..., Opened]


@pytest.fixture
def folders(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two catalogues with the same bundle and the same products."""
    copies = [shutil.copytree(made / "shop", tmp_path / name) for name in ("dresses", "shoes")]
    return Path(copies[0]), Path(copies[1])


@pytest.fixture
def open_shops(folders: tuple[Path, Path]) -> Iterator[Open]:
    with ExitStack() as stack:

        def open_one(base: str = HOME, **settings: Any) -> Opened:
            app = Shops(Settings(folders[0], shops=folders, **settings))
            client = TestClient(
                app, base, client=("127.0.0.1", 4000), raise_server_exceptions=False
            )
            return app, stack.enter_context(client)

        yield open_one


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(("root", "prefix"), [("", ""), ("/finder", "/finder"), ("/finder", "")])
def test_each_has_page_api_and_widget(
    open_shops: Open, photo: bytes, root: str, prefix: str
) -> None:
    """Behind a proxy that leaves the sub-path on, or takes it off."""
    _, client = open_shops(root_path=root, public=True)
    for name in ("dresses", "shoes"):
        own = f"{prefix}/{name}"
        assert "<title>" in client.get(f"{own}/").text
        assert client.get(f"{own}/static/js/main.js").status_code == 200
        assert client.get(f"{own}/widget.js").status_code == 200
        moved = client.get(own, follow_redirects=False)
        assert (moved.status_code, moved.headers["location"]) == (308, f"{root}/{name}/")
        hit = client.post(f"{own}/v1/search", files={"photo": photo}).json()["hits"][0]
        assert hit["picture"].startswith(f"{root}/{name}/v1/pictures/")
        assert client.get(hit["picture"]).headers["content-type"] == "image/jpeg"
        assert client.head(f"{own}/v1/info").status_code == 200
        assert client.get(f"{own}/v1/items/item0/similar").status_code == 200
        document = client.get(f"{own}/v1/openapi.json").json()
        assert document["servers"] == [{"url": f"{root}/{name}"}]
    for path in ("/", "/v1/info", "/v1/openapi.json", "/admin", "/others/", "/dressesx/"):
        assert client.get(f"{prefix}{path}").status_code == 404
    assert client.get(f"{prefix}/healthz").json() == {"status": "alive", "open": 2, "closed": 0}
    assert client.get(f"{prefix}/readyz").status_code == 200


def test_a_change_is_of_one_shop_alone(open_shops: Open) -> None:
    _, client = open_shops()
    assert client.delete("/dresses/v1/items/item0").status_code == 200
    assert client.get("/dresses/v1/items/item0").status_code == 404
    assert client.get("/shoes/v1/items/item0").status_code == 200


def test_a_key_opens_its_own_shop_alone(
    open_shops: Open,
    folders: tuple[Path, Path],
    photo: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = [KeyRing(folder / "service").create("write")[0] for folder in folders]
    app, client = open_shops(host="0.0.0.0")
    monkeypatch.setattr(app.shared.failures, "wait", lambda name: 0.0)  # many wrong ones are sent
    for number, name in enumerate(("dresses", "shoes")):
        for key, status in ((keys[number], 200), (keys[1 - number], 401)):
            for method, path, more in (
                ("GET", "v1/info", {}),
                ("POST", "v1/search", {"files": {"photo": photo}}),
                ("PATCH", "v1/items/item0", {"json": {}}),
                ("GET", "v1/feedback/export", {}),
                ("GET", "v1/admin/stats", {}),
                ("GET", "metrics", {}),
            ):
                answer = client.request(method, f"/{name}/{path}", headers=bearer(key), **more)
                assert answer.status_code == status, (name, path)
    for headers in ({}, bearer(keys[0]), bearer(keys[1])):
        assert client.get("/metrics", headers=headers).status_code == 401


def test_one_shop_without_a_key_isnt_opened_by_anothers(
    open_shops: Open, folders: tuple[Path, Path]
) -> None:
    """On a loopback address the one that never had a key is open, the other isn't."""
    KeyRing(folders[0] / "service").create("read")
    _, client = open_shops()
    codes = [client.get(f"/{name}/v1/info").status_code for name in ("dresses", "shoes")]
    assert codes == [401, 200]
    outside = Settings(folders[0], shops=folders, host="0.0.0.0")
    with pytest.raises(UsageError, match="key create .*shoes"):
        run.check_access(outside)


def test_they_share_graphs_memory_and_queue(open_shops: Open, photo: bytes) -> None:
    app, client = open_shops()
    for name in ("dresses", "shoes"):
        found = client.post(f"/{name}/v1/search", files={"photo": photo}, data={"detect": "true"})
        assert len(found.json()["hits"]) == 6
    one, other = app.services.values()
    bundles = [service.catalog.live().bundle for service in (one, other)]
    assert bundles[0] is not bundles[1]
    for role in ("street", "shop", "detector"):
        assert bundles[0].session(role, 1) is bundles[1].session(role, 1)
    assert one.data is other.data
    assert one.images is other.images
    assert one.readers is other.readers
    app.shared.inside = app.settings.queue
    assert client.get("/dresses/v1/info").status_code == 503
    assert client.get("/shoes/v1/info").status_code == 503
    app.shared.inside = 0


def test_a_damaged_catalogue_closes_itself_alone(
    open_shops: Open, folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hemline.service")
    (folders[1] / "bundle/bundle.json").write_text("{")
    _, client = open_shops(list_shops=True)
    assert client.get("/dresses/v1/info").status_code == 200
    for path in ("/shoes/", "/shoes/v1/info", "/shoes/healthz"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:hemline:problem:closed")
        assert str(folders[1]) not in answer.text
    assert client.get("/healthz").json() == {"status": "alive", "open": 1, "closed": 1}
    assert client.get("/readyz").status_code == 200
    assert "shoes" not in client.get("/").text
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    (told,) = [line for line in lines if line["event"] == "shop closed"]
    assert told["shop"] == "shoes"
    asked = [line.get("shop") for line in lines if line.get("path") == "/v1/info"]
    assert asked == ["dresses"]  # the address without the sub-path, and whose it is
    (folders[0] / "bundle/bundle.json").write_text("{")
    with pytest.raises(CatalogError, match="dresses, shoes"):
        open_shops()


def test_a_catalogue_that_fails_while_it_warms_up_closes_itself_alone(
    open_shops: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hemline.service.serving import Service

    warm = Service.warm

    def fail(service: Service) -> None:
        if service.settings.shop == "shoes":
            raise OSError("the disk is gone")
        warm(service)

    monkeypatch.setattr(Service, "warm", fail)
    _, client = open_shops()
    assert client.get("/healthz").json()["closed"] == 1
    assert client.get("/shoes/v1/info").status_code == 503
    assert client.get("/dresses/v1/info").status_code == 200


def test_keys_that_are_damaged_close_their_shop_alone(
    open_shops: Open, folders: tuple[Path, Path]
) -> None:
    for folder in folders:
        KeyRing(folder / "service").create("read")
    (folders[0] / "service/keys.json").write_text("{")
    run.check_access(Settings(folders[0], shops=folders, host="0.0.0.0"))
    _, client = open_shops(host="0.0.0.0")
    assert client.get("/dresses/v1/info").status_code == 401
    assert client.get("/shoes/v1/info").status_code == 401


def test_metrics_are_of_each_shop(open_shops: Open, photo: bytes) -> None:
    _, client = open_shops()
    client.post("/dresses/v1/search", files={"photo": photo})
    for path in ("/evil/v1/info", "/shoes/evil", "/metrics"):
        client.get(path)
    everything, own = client.get("/metrics").text, client.get("/shoes/metrics").text
    shops = re.findall(r'shop="([^"]*)"', everything)
    assert set(shops) == {"", "dresses", "shoes"}
    assert set(re.findall(r'shop="([^"]*)"', own)) == {"shoes"}
    assert 'hemline_catalog_items{shop="dresses"} 6.0' in everything
    assert re.search(r'hemline_step_seconds_count\{shop="dresses",step="search"\} 1', everything)
    assert "evil" not in everything


@pytest.mark.parametrize("listed", [True, False])
def test_the_list_is_there_where_it_is_wanted(
    open_shops: Open, folders: tuple[Path, Path], listed: bool
) -> None:
    (folders[0] / "hemline.toml").write_text('[service]\ntitle = "Robes & <b>"\n')
    _, client = open_shops(list_shops=listed, root_path="/finder", public=True)
    for path in ("/finder/", "/finder", "/"):
        page = client.get(path)
        assert page.status_code == (200 if listed else 404)
        assert ('href="dresses/">Robes &amp; &lt;b&gt;<' in page.text) == listed
        assert ('href="shoes/">shoes<' in page.text) == listed
    assert client.get("/finder/static/css/base.css").status_code == 200


@pytest.mark.parametrize(
    "name", ["v1", "admin", "widget.js", "a b", ".hidden", "ü", "x" * 65, "<b>"]
)
def test_a_name_that_is_no_part_of_an_address_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="each catalogue is served at"):
        Settings(tmp_path, shops=(tmp_path / name,))


def test_names_are_those_of_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="two catalogues have the name a"):
        Settings(tmp_path, shops=(tmp_path / "a", tmp_path / "b/a"))
    with pytest.raises(UsageError, match="nothing to list"):
        Settings(tmp_path, list_shops=True)
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    given = Settings(tmp_path, shops=(tmp_path / "link", Path("b/"), Path("c/../d")))
    assert [own.shop for own in given.each] == ["link", "b", "d"]


def test_the_command_takes_several(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Settings] = []
    monkeypatch.setattr(run, "serve", lambda settings, *_: given.append(settings))
    one, other = map(str, folders)
    assert main(["serve", one, other, "--list-shops"]) == 0
    assert main(["serve", one]) == 0
    assert main(["serve", one, "--by-name"]) == 0
    assert [settings.shops for settings in given] == [folders, (), folders[:1]]
    assert main(["serve", one, one]) == 2


@pytest.mark.slow
def test_several_processes_serve_several_shops(folders: tuple[Path, Path]) -> None:
    service = Running(folders[0], str(folders[1]), "--workers", "2")
    try:
        for number in range(12):  # whichever process answers
            shop = ("dresses", "shoes")[number % 2]
            change = {"columns": {"price": float(number)}}
            answer = service.http.patch(f"/{shop}/v1/items/item0", json=change)
            assert answer.status_code == 200
            item = service.http.get(f"/{shop}/v1/items/item0").json()
            assert item["columns"]["price"] == number
        text = service.http.get("/metrics").text
        counts = re.findall(r'hemline_writes_total\{shop="(\w+)",what="updated"\} (\d+)', text)
        assert dict(counts) == {"dresses": "6", "shoes": "6"}
        assert service.end() == 0
    finally:
        service.close()
