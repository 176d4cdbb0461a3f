from __future__ import annotations

from pathlib import Path

import pytest

from hemline.data.remote.addresses import Allowed, is_address, parse_address, without_secrets
from hemline.data.remote.settings import RemoteSettings, read_remote_settings
from hemline.errors import ImageError, UsageError


@pytest.mark.parametrize(
    ("place", "inside", "outside"),
    [
        (
            "cdn.shop.example",
            ["https://cdn.shop.example/1.jpg", "https://CDN.shop.example.:443/1.jpg"],
            ["http://cdn.shop.example/1.jpg", "https://cdn.shop.example:8443/1.jpg",
             "https://shop.example/1.jpg", "https://cdn.shop.example.evil.example/1.jpg",
             "https://evilcdn.shop.example/1.jpg"],
        ),
        (
            "*.shop.example",
            ["https://cdn.shop.example/1.jpg", "https://a.b.shop.example/1.jpg"],
            ["https://shop.example/1.jpg", "https://evilshop.example/1.jpg"],
        ),
        ("http://old.example:8080", ["http://old.example:8080/1.jpg"], ["http://old.example/1"]),
        (
            "s3://pictures/2031/",
            ["s3://pictures/2031/a/1.jpg"],
            ["s3://pictures/2030/1.jpg", "s3://pictures-2/2031/1.jpg", "gs://pictures/2031/1.jpg"],
        ),
    ],
)  # fmt: skip
def test_what_a_place_allows(place: str, inside: list[str], outside: list[str]) -> None:
    allowed = Allowed([place])
    for text in inside:
        allowed.check(parse_address(text))
    for text in outside:
        with pytest.raises(ImageError, match="isn't allowed"):
            allowed.check(parse_address(text))


@pytest.mark.parametrize("place", ["*", "*.example", "https://x.example/folder", "ftp://x.example",
                                   "", "a b.example", "https://me@x.example", "s3://"])  # fmt: skip
def test_a_place_that_isnt_understood(place: str) -> None:
    with pytest.raises(UsageError, match="allowed hosts"):
        Allowed([place])


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.3.4", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.0.1",
        "198.18.0.1", "::1", "::", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
        "2002:7f00:1::", "2001:db8::1", "2001::1",
    ],
)  # fmt: skip
def test_addresses_that_arent_public(host: str) -> None:
    with pytest.raises(ImageError, match="isn't public"):
        Allowed([]).check_connection(host)


@pytest.mark.parametrize("host", ["93.184.215.14", "2606:2800:21f:cb07::1", "64:ff9b::5db8:d70e"])
def test_public_addresses(host: str) -> None:
    Allowed([]).check_connection(host)


def test_a_network_may_be_named() -> None:
    allowed = Allowed([], ["10.1.0.0/16", "::1/128"])
    for host in ("10.1.2.3", "::ffff:10.1.2.3", "::1"):
        allowed.check_connection(host)
    with pytest.raises(ImageError, match="leads to 10.2.0.1"):
        allowed.check_connection("10.2.0.1")
    with pytest.raises(UsageError, match="write it as"):
        Allowed([], ["10.1.0.1/16"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://", "no name"),
        ("https://x.example:99999/1.jpg", "no valid address"),
        ("https://[::1/1.jpg", "no valid address"),
        ("https://täst.example/1.jpg", "isn't ASCII"),
        ("https://x.example\\@evil.example/1.jpg", "backslash"),
        ("https://evil.example#@x.example/1.jpg", "isn't allowed"),
        ("https://a:b@x.example/1.jpg", "user name"),
        ("https://x.example/a b.jpg", "blank"),
        ("https://x.example/\r\nHost: y", "control"),
        ("s3://bucket", "s3://BUCKET/KEY"),
        ("s3:///key", "s3://BUCKET/KEY"),
        ("gopher://x.example/1", "'gopher'"),
        ("https://x.example/" + "a" * 5000, "characters"),
    ],
)
def test_addresses_that_cant_be_fetched(text: str, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        Allowed(["x.example"]).check(parse_address(text))


def test_secrets_are_neither_shown_nor_stored() -> None:
    plain = "https://x.example/1.jpg?size=2&v=3"
    assert without_secrets(plain) == plain
    signed = plain + "&X-Amz-Signature={0}&X-Amz-Expires={0}&X-Amz-Security-Token={0}"
    assert without_secrets(signed.format("17")) == plain
    assert parse_address(signed.format("17")).lasting == parse_address(signed.format("18")).lasting
    first, second = (without_secrets(f"https://x.example/1?token={n}") for n in ("abc", "xyz"))
    assert first.startswith("https://x.example/1#")
    assert "abc" not in first
    assert first != second  # two images
    assert "me" not in without_secrets("https://me:pass@x.example/1.jpg")
    # Without a signature, these may be what tells images apart.
    assert without_secrets("https://x.example/1?sp=4") == "https://x.example/1?sp=4"


def test_what_is_an_address() -> None:
    assert is_address("HTTPS://x.example/1")
    assert is_address("gs://bucket/1")
    assert not is_address("pictures/https:/1.jpg")
    assert not is_address("C:/1.jpg")


def test_settings_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "hemline.toml"
    path.write_text(
        '[service]\ntitle = "A"\n[remote]\nallow = ["x.example"]\ntimeout = 5\ncache = "here"\n'
    )
    found = read_remote_settings(path)
    assert found == RemoteSettings(allow=("x.example",), timeout=5, cache=tmp_path / "here")
    more = found.with_more(["y.example"], ["10.0.0.0/8"])
    assert (more.allow, more.networks) == (("x.example", "y.example"), ("10.0.0.0/8",))
    path.write_text('[service]\ntitle = "A"\n')
    assert not read_remote_settings(path).allow


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("allow = 'x.example'", "allow is a list"),
        ("alow = []", "Did you mean 'allow'"),
        ("timeout = 0", "timeout is above 0"),
        ("timeout = inf", "timeout is above 0"),
        ("retries = -1", "retries is at least 0"),
        ("retries = 1.5", "retries is a whole number"),
        ("max_bytes = true", "max_bytes is a whole number"),
        ("cache = 3", "cache is the name"),
        ("allow = ['*']", "allowed hosts"),
        ("networks = ['x']", "allowed networks"),
        ("= 3", "isn't TOML"),
    ],
)
def test_wrong_settings_are_told(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "hemline.toml"
    path.write_text(f"[remote]\n{text}\n")
    with pytest.raises(UsageError, match=reason) as error:
        read_remote_settings(path)
    assert str(path) in str(error.value)
