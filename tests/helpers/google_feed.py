"""A drawn shop's product feed in Google's format, CSV or XML, with its images in a folder."""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree as xml

from hemline.data.manifest import Manifest
from hemline.demo.shop import SEED, SIZE
from hemline.synthetic import SyntheticSettings
from hemline.synthetic.make import make_dataset

_G = "http://base.google.com/ns/1.0"


def write_feed(folder: Path, products: int, form: str) -> Path:
    """``feed.csv`` or ``feed.xml`` (RSS) and the folder ``pictures``, in a new folder.

    The products are the first of the demo's shop, so the page's samples are among them.
    """
    drawn = make_dataset(
        folder / "drawn", products, SEED, SyntheticSettings(size=SIZE), street_views=0, workers=1
    )
    (folder / "pictures").mkdir()
    rows: dict[str, dict[str, str]] = {}
    for number, record in enumerate(Manifest.read(drawn)):
        name = f"{record.item_id}-{number}.jpg"
        (drawn.parent / record.path).rename(folder / "pictures" / name)
        image = f"https://cdn.shop.example/{name}?v=2"
        if record.item_id in rows:
            rows[record.item_id]["additional_image_link"] = image
            continue
        tags = dict(tag.split("=", 1) for tag in record.tags)
        colour, place = tags.get("color", "plain"), len(rows)
        rows[record.item_id] = {
            "id": record.item_id,
            "title": f"{colour.capitalize()} {record.category} no. {place}",
            "description": f"A {record.category} in {colour}, drawn for a test.",
            "link": f"https://shop.example/p/{record.item_id}",
            "image_link": image,
            "availability": "out of stock" if place % 7 == 3 else "in stock",
            "price": f"{20 + place % 60}.90 EUR",
            "sale_price": f"{15 + place % 60}.50 EUR" if place % 5 == 2 else "",
            "brand": ("Nordlicht", "Own & Co", "Ämil")[place % 3],
            "color": colour,
            "google_product_category": f"Apparel & Accessories > Clothing > {record.category}",
            "product_type": f"Women > {record.category.capitalize()}",
        }
    file = folder / f"feed.{form}"
    (_write_csv if form == "csv" else _write_rss)(file, list(rows.values()))
    return file


def _write_csv(file: Path, rows: list[dict[str, str]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _write_rss(file: Path, rows: list[dict[str, str]]) -> None:
    xml.register_namespace("g", _G)
    root = xml.Element("rss", version="2.0")
    channel = xml.SubElement(root, "channel")
    xml.SubElement(channel, "title").text = "A drawn shop"
    for row in rows:
        item = xml.SubElement(channel, "item")
        for name, value in row.items():
            plain = name in ("title", "description", "link")
            if value:
                xml.SubElement(item, name if plain else f"{{{_G}}}{name}").text = value
    xml.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)
