"""Images that manifests and feeds name by addresses, from a local web server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="needs aiohttp: pip install 'hemline[remote]'")
pytest.importorskip("fsspec", reason="needs fsspec: pip install 'hemline[remote]'")

from helpers.bad_web import BadWeb, bad_web
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.catalog.intake.options import SyncOptions
from hemline.cli import main
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.data.remote.fetcher import Fetcher
from hemline.data.remote.settings import RemoteSettings
from hemline.errors import DataError, ImageError
from hemline.runtime.bundle import Bundle


@pytest.fixture(scope="module")
def web() -> Iterator[BadWeb]:
    with bad_web() as server:
        yield server


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    with Catalog.create(tmp_path / "shop", bundle) as made:
        yield made


@pytest.fixture
def fetcher(web: BadWeb, tmp_path: Path) -> Fetcher:
    settings = RemoteSettings(
        allow=(web.host,), networks=("127.0.0.1/32",), retries=0, cache=tmp_path / "cache"
    )
    return Fetcher(settings)


def manifest(tmp_path: Path, addresses: list[str]) -> Path:
    rows = [f"{address},sku{n},shop" for n, address in enumerate(addresses)]
    path = tmp_path / "list.csv"
    path.write_text("\n".join(["path,item_id,domain", *rows]) + "\n")
    return path


def feed(tmp_path: Path, images: list[Any]) -> Path:
    path = tmp_path / "feed.jsonl"
    rows = [{"id": f"sku{n}", "image_link": image} for n, image in enumerate(images)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_nothing_is_fetched_unless_it_is_allowed(
    catalog: Catalog, web: BadWeb, tmp_path: Path
) -> None:
    before = web.asked.total()
    report = catalog.add(Manifest.read(manifest(tmp_path, [f"{web.host}/good.jpg"])))
    (skipped,) = report.skipped
    assert skipped.reason.startswith("is an address, and nothing is fetched unless its host")
    with pytest.raises(DataError, match="nothing is fetched unless its host is allowed"):
        catalog.sync(feed(tmp_path, [f"{web.host}/good.jpg"]))
    assert web.asked.total() == before


def test_a_manifest_names_addresses(
    catalog: Catalog, web: BadWeb, fetcher: Fetcher, tmp_path: Path
) -> None:
    names = ["good.jpg", "text-type.jpg", "html.jpg", "truncated.jpg", "good.jpg?token=secret"]
    table = Manifest.read(manifest(tmp_path, [f"{web.host}/{name}" for name in names]))
    report = catalog.add(table, remote=fetcher)
    assert report.added == 3
    assert [one.reason.partition(": ")[0] for one in report.skipped] == ["row 3", "row 4"]
    assert f"{web.host}/html.jpg is no picture but a web page" in report.skipped[0].reason
    assert f"{web.host}/truncated.jpg is a truncated JPEG" in report.skipped[1].reason
    assert not any("secret" in row.image_id for row in catalog.store.rows())
    asked = web.asked.copy()
    again = catalog.add(table, remote=fetcher)
    assert (again.unchanged, again.embedded) == (3, 0)
    assert web.asked["/good.jpg"] == asked["/good.jpg"]
    assert web.asked["/truncated.jpg"] == asked["/truncated.jpg"] + 1


def test_a_feed_names_addresses(
    catalog: Catalog, web: BadWeb, fetcher: Fetcher, tmp_path: Path
) -> None:
    two = f"{web.host}/text-type.jpg, {web.host}/good.jpg?w=1,h=2"
    others = [f"{web.host}/404.jpg", "https://other.example/1.jpg", "ftp://x.example/1.jpg"]
    images = [f"{web.host}/good.jpg", two, *others]
    path = feed(tmp_path, images)
    report = catalog.sync(path, SyncOptions(remote=fetcher))
    assert (report.new, report.images.added + report.images.duplicates) == (2, 3)
    reasons = sorted(one.reason for one in report.images.skipped)
    assert [reason[:6] for reason in reasons] == ["line 3", "line 4", "line 5"]
    assert "answered 404" in reasons[0]
    assert reasons[1].endswith("--allow-host other.example")
    assert "'ftp'" in reasons[2]
    asked = web.asked["/good.jpg"]
    again = catalog.sync(path, SyncOptions(remote=fetcher))
    assert (again.unchanged, again.images.embedded) == (2, 0)
    assert web.asked["/good.jpg"] == asked


def test_an_image_that_cant_be_fetched_today_stays(
    catalog: Catalog, web: BadWeb, fetcher: Fetcher, tmp_path: Path
) -> None:
    catalog.sync(feed(tmp_path, [f"{web.host}/good.jpg"]), SyncOptions(remote=fetcher))
    images = [f"{web.host}/500.jpg", f"{web.host}/text-type.jpg"]
    report = catalog.sync(feed(tmp_path, images), SyncOptions(remote=fetcher))
    assert (report.images.kept, report.new) == (1, 1)
    assert len(list(catalog.store.rows())) == 2


def test_the_command_takes_hosts_and_a_settings_file(
    catalog: Catalog, web: BadWeb, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HEMLINE_HOME", str(tmp_path / "home"))
    shop, listed = str(tmp_path / "shop"), str(manifest(tmp_path, [f"{web.host}/good.jpg"]))
    assert main(["catalog", "add", shop, listed, "--json"]) == 1
    options = ["--allow-host", web.host, "--allow-network", "127.0.0.0/8"]
    assert main(["catalog", "add", shop, listed, *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["added"] == 1
    assert list((tmp_path / "home/remote").glob("??/*.image"))
    (tmp_path / "shop/hemline.toml").write_text(
        f'[remote]\nallow = ["{web.host}"]\nnetworks = ["127.0.0.0/8"]\n'
    )
    path = str(feed(tmp_path, [f"{web.host}/good.jpg", f"{web.host}/text-type.jpg"]))
    assert main(["catalog", "sync", shop, path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["new"] == 1
    assert main(["catalog", "sync", shop, path, "--allow-host", "*"]) == 2


def test_a_manifest_is_read_with_its_addresses_and_fetched(
    web: BadWeb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "shop.csv"
    names = ["good.jpg", "html.jpg", "text-type.jpg", "truncated.jpg"]
    rows = [f"sku{n},{web.host}/{name}" for n, name in enumerate(names)]
    table.write_text("\n".join(["id,image_link", *rows]) + "\n")
    listed = tmp_path / "elsewhere/m.csv"
    read = ["data", "read", "csv", str(table), "-o", str(listed), "addresses=keep"]
    assert main(read) == 0
    assert Manifest.read(listed).table["path"].to_pylist() == [f"{web.host}/{n}" for n in names]
    command = ["data", "fetch", str(listed), "-o", str(tmp_path / "fetched"), "--json"]
    assert main(command) == 2
    capsys.readouterr()
    options = ["--allow-host", web.host, "--allow-network", "127.0.0.0/8"]
    for _ in range(2):
        asked = web.asked["/good.jpg"]
        assert main([*command, *options]) == 0
        result = json.loads(capsys.readouterr().out)
        assert [reason.partition(": ")[0] for reason in result["left_out"]] == ["row 2", "row 4"]
    assert web.asked["/good.jpg"] == asked
    fetched = Manifest.read(result["manifest"])
    assert [record.item_id for record in fetched] == ["sku0", "sku2"]
    assert all(file.is_file() for file in fetched.files())
    with pytest.raises(ImageError, match="is an address; `hemline data fetch`"):
        open_image(Manifest.read(listed).file(0))
