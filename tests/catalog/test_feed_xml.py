"""Google's feeds in XML: read as the same feed in CSV, and safely."""

from __future__ import annotations

import gzip
import socket
from pathlib import Path
from typing import Any

import pytest

from hemline.catalog.intake.feed import Feed
from hemline.catalog.intake.feed_images import ImageFiles
from hemline.catalog.intake.feed_items import read_items
from hemline.catalog.intake.feed_map import FeedMapping, find_columns
from hemline.errors import DataError

SPACE = 'xmlns:g="http://base.google.com/ns/1.0"'
_ITEM = """
    <g:id>17-{size}</g:id><g:item_group_id>17</g:item_group_id>
    <title>not this</title><g:title>Coat &amp; hood</g:title>
    <g:image_link>https://shop.example/17.jpg</g:image_link>
    <g:additional_image_link>https://shop.example/17b.jpg</g:additional_image_link>
    <g:additional_image_link>https://shop.example/17c.jpg</g:additional_image_link>
    <g:price>59,90 EUR</g:price><g:sale_price>39.90 EUR</g:sale_price>
    <g:availability>in_stock</g:availability><g:size>{size}</g:size><g:color>Navy</g:color>
    <g:shipping><g:country>DE</g:country><g:price>4.90 EUR</g:price></g:shipping>
    <g:product_type>Women &gt; Coats</g:product_type>"""
_RSS = (
    f'<?xml version="1.0"?>\n<rss version="2.0" {SPACE}><channel><title>A shop</title>'
    "<link>https://shop.example</link>"
    + "".join(
        f"<item>{_ITEM.format(size=s)}<link>https://shop.example/17</link>"
        "<description><![CDATA[Warm.<br>Soft.]]></description></item>\n"
        for s in "SM"
    )
    + "</channel></rss>\n"
)
_ATOM = (
    f'<feed xmlns="http://www.w3.org/2005/Atom" {SPACE}><title>A shop</title>'
    + "".join(
        f"<entry><id>tag:{s}</id>{_ITEM.format(size=s)}"
        '<link rel="self" href="https://shop.example/feed"/>'
        '<link href="https://shop.example/17"/><g:description>Warm.&lt;br&gt;Soft.</g:description>'
        "</entry>"
        for s in "SM"
    )
    + "</feed>"
)
_CSV = (
    "id,item_group_id,title,image_link,additional_image_link,price,sale_price,availability,size,"
    "color,shipping,product_type,link,description\n"
    + "".join(
        f'17-{s},17,Coat & hood,https://shop.example/17.jpg,"https://shop.example/17b.jpg,'
        f'https://shop.example/17c.jpg","59,90 EUR",39.90 EUR,in_stock,{s},Navy,DE:4.90 EUR,'
        "Women > Coats,https://shop.example/17,Warm.<br>Soft.\n"
        for s in "SM"
    )
)


def items_of(tmp_path: Path, name: str, data: bytes) -> Any:
    path = tmp_path / name
    path.write_bytes(data)
    for image in ("17.jpg", "17b.jpg", "17c.jpg"):
        (tmp_path / image).touch()
    feed = Feed.read(path)
    columns = find_columns(feed.columns, FeedMapping(), "the feed")
    found = read_items(feed, columns, ImageFiles(path, tmp_path))
    assert not found.bad
    return found.items


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("feed.xml", _RSS.encode()),
        ("feed.rss", _RSS.encode("utf-16")),
        ("feed.xml.gz", gzip.compress(_RSS.encode())),
        ("feed.atom", _ATOM.encode()),
        ("feed.xml", f'<?xml version="1.0" encoding="windows-1252"?>{_ATOM}'.encode("cp1252")),
    ],
)
def test_xml_says_what_csv_says(tmp_path: Path, name: str, data: bytes) -> None:
    """Failed before: XML was refused."""
    (found,) = items_of(tmp_path, name, data).values()
    (expected,) = items_of(tmp_path, "feed.csv", _CSV.encode()).values()
    assert found.attributes.category == "Coats"
    assert found == expected
    columns = found.attributes.columns
    assert (columns["link"], columns["price"]) == ("https://shop.example/17", 59.9)
    assert (columns["sale_price"], columns["size"]) == (39.9, ["S", "M"])
    assert (columns["currency"], columns["shipping"]) == ("EUR", "DE:4.90 EUR")
    assert [image.name for image in found.images] == ["17.jpg", "17b.jpg", "17c.jpg"]


def test_several_kinds_of_a_product(tmp_path: Path) -> None:
    two = "</g:product_type><g:product_type>Sale</g:product_type>"
    data = _RSS.replace("</g:product_type>", two).encode()
    (found,) = items_of(tmp_path, "feed.xml", data).values()
    assert found.attributes.category == "Coats"
    assert found.attributes.columns["product_type"] == ["Women > Coats", "Sale"]


def test_lines_of_an_xml_feed(tmp_path: Path) -> None:
    (tmp_path / "feed.xml").write_text(_RSS)
    assert Feed.read(tmp_path / "feed.xml").lines == [2, 12]


_LAUGHS = "".join(
    '<!ENTITY %s "%s">' % (chr(n + 1), f"&{chr(n)};" * 10)  # noqa: UP031
    for n in range(97, 105)
)
_HOSTILE = {
    "entities": f'<!DOCTYPE r [<!ENTITY a "ha">{_LAUGHS}]><rss><item><id>&i;</id></item></rss>',
    "a file": '<!DOCTYPE r [<!ENTITY a SYSTEM "/etc/passwd">]><rss><item><id>&a;</id></item></rss>',
    "an address": '<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd"><rss><item/></rss>',
    "parameters": '<!DOCTYPE r [<!ENTITY % a SYSTEM "http://127.0.0.1:9/x">%a;]><rss/>',
    "deep": "<rss>" + "<a>" * 5000 + "</a>" * 5000 + "</rss>",
    "a long text": f"<rss><item><id>{'x' * 3_000_000}</id></item></rss>",
    "a long tag": f"<rss><item><id a='{'x' * 3_000_000}'/></item></rss>",
    "a long name": f"<rss><item><{'x' * 3_000_000}/></item></rss>",
    "many columns": f"<rss><item>{''.join(f'<c{n}>1</c{n}>' for n in range(1200))}</item></rss>",
    "an unknown entity": "<rss><item><id>&nbsp;</id></item></rss>",
    "an unknown encoding": '<?xml version="1.0" encoding="idna"?><rss><item/></rss>',
    "html": "<html><body>moved</body></html>",
    "no xml": "id,title\n1,2\n",
    "nothing": "",
    "binary": "\x00\x01\x02",
}


@pytest.mark.parametrize("kind", _HOSTILE)
def test_hostile_xml_ends_in_one_line(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> Any:
        raise AssertionError("nothing is fetched")

    monkeypatch.setattr(socket, "socket", refused)
    file = tmp_path / "feed.xml"
    file.write_text(_HOSTILE[kind])
    with pytest.raises(DataError) as error:
        Feed.read(file)
    assert "\n" not in str(error.value)
    assert "nothing was changed" in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("text", [_RSS, _ATOM])
def test_an_xml_feed_that_breaks_off_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "feed.xml"
    for end in range(60, len(text.rstrip()), 97):
        file.write_text(text[:end])
        with pytest.raises(DataError, match="breaks off|can't be read"):
            Feed.read(file)
