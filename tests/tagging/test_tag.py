"""Manifest in, manifest with tags out: sources, conflicts, sharing, cleaning, idempotence."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hemline.data.manifest import Manifest
from hemline.errors import DataError, UsageError
from hemline.tagging import Report, TagSettings, tag_manifest
from hemline.tagging.clean import near, rare
from hemline.tagging.vocabulary import read_vocabulary

ROOT = Path(__file__).parents[2]


BASE = ("path", "item_id", "domain")


def shop(rows: list[dict[str, Any]]) -> Manifest:
    """A manifest of shop rows, unless a row says otherwise."""
    names = dict.fromkeys(name for row in rows for name in row)
    filled = [
        {
            "path": f"{k}.jpg",
            "item_id": f"p{k}",
            "domain": "shop",
            **{n: None for n in names if n not in BASE},
            **row,
        }
        for k, row in enumerate(rows)
    ]
    return Manifest.from_table(pa.Table.from_pylist(filled), ".")


def tags(rows: list[dict[str, Any]], **settings: Any) -> tuple[list[set[str]], Report]:
    made, report = tag_manifest(shop(rows), TagSettings(**settings))
    return [set(of_row) for of_row in made.column("tags")], report


def one(row: dict[str, Any], **settings: Any) -> set[str]:
    return tags([row], **settings)[0][0]


# --- which field is believed ---------------------------------------------------------------------


def test_breadcrumbs_say_the_garment_and_titles_the_rest() -> None:
    row = {
        "title": "Denim jacket dress in blue",
        "breadcrumbs": "Women > Coats & Jackets > Denim Dresses",
        "description": "A red shirt with long sleeves.",
    }
    assert one(row) == {"category=dress", "color=blue", "pattern=denim", "sleeve_length=long"}


@pytest.mark.parametrize(
    ("title", "category"),
    [
        ("Sweater dress", "dress"),
        ("Skirt with shorts", "skirt"),
        ("Shirt and trousers", "shirt"),
        ("Tank Tops Blouses Shirts", ""),
        ("Sweatshirt hoodie", "hoodie"),
    ],
)
def test_what_a_title_is_about(title: str, category: str) -> None:
    got = {t for t in one({"title": title}, columns=("title",)) if t.startswith("category=")}
    assert got == ({f"category={category}"} if category else set())


@pytest.mark.parametrize(
    ("title", "category"),
    [
        ("White leather sneakers", "shoes"),
        ("Black dress shoes", "shoes"),
        ("Suede Chelsea boots with zip", "boots"),
        ("Cork sandals", "sandals"),
        ("Ribbed beanie hat", "hat"),
        ("Cotton baseball cap", "hat"),
        ("Canvas tote bag", "bag"),
        ("Silk scarf in navy", "scarf"),
        ("Leather gloves", "gloves"),
        ("Pack of ankle socks", "socks"),
        ("Padded outerwear", "outerwear"),
        ("Lace bra", "underwear"),
        ("Cap-sleeve dress", "dress"),
    ],
)
def test_what_is_worn_beside_garments_is_known(title: str, category: str) -> None:
    """Failed before: shoes, hats, bags and outerwear had no words."""
    found = {tag for tag in one({"title": title}) if tag.startswith("category=")}
    assert found == {f"category={category}"}


def test_jackets_are_outerwear() -> None:
    assert "category=jacket" in one({"title": "Jacket", "breadcrumbs": "Outerwear > Jackets"})


def test_breadcrumbs_that_name_two_garments_leave_it_to_the_title() -> None:
    row = {"breadcrumbs": "Men > Jackets & Coats", "title": "Wool coat"}
    assert "category=coat" in one(row)
    assert not any(t.startswith("category") for t in one({**row, "title": "Black wool"}))


def test_a_later_field_may_be_more_exact() -> None:
    row = {"title": "Blue striped top", "description": "Breton, in navy."}
    assert one(row) == {"color=navy", "pattern=breton-stripe"}


def test_columns_of_values_are_read_as_such() -> None:
    row = {"title": "Dress", "colour": "Navy/White", "neckline": "round", "sleeve_length": "Long"}
    assert one(row) == {
        *("category=dress", "color=navy", "color=white", "collar=round", "sleeve_length=long"),
    }  # fmt: skip


def test_variants_conflict_unless_there_is_one() -> None:
    got, report = tags(
        [
            {"title": "Dress", "description": "Available in red, blue and green."},
            {"title": "Dress", "description": "Available in red."},
            {"title": "Black dress", "description": "Available in red, blue and green."},
        ]
    )
    colours = [{t for t in row if t.startswith("color")} for row in got]
    assert colours == [set(), {"color=red"}, {"color=black"}]
    assert report.conflicts["variants: color"]["count"] == 1


def test_conflicts_are_told_with_examples() -> None:
    _, report = tags([{"title": "V-neck sweater", "description": "With a round neckline."}])
    (example,) = report.conflicts["between fields: collar"]["examples"]
    assert example["kept"] == ["v-neck"]
    assert example["other"] == ["round"]
    assert example["image_id"] == "0.jpg"


def test_what_words_mean_by_themselves_and_what_a_garment_cannot_have() -> None:
    assert one({"title": "Hoodie"}) == {"category=hoodie", "collar=hood"}
    assert one({"title": "Hoodie with stand collar"}) == {"category=hoodie", "collar=stand"}
    assert one({"title": "Tank top"}) == {
        "category=tank-top", "sleeve_length=sleeveless", "sleeve_shape=none",
    }  # fmt: skip
    got, report = tags([{"title": "Jeans", "description": "Stand collar."}])
    assert got == [{"category=jeans", "pattern=denim"}]
    assert report.misfit == {"collar": 1}


# --- which columns --------------------------------------------------------------------------------


def test_columns_are_found_and_the_others_explained() -> None:
    manifest = shop(
        [
            {
                "title": "Red dress",
                "url": "https://shop.example/red-dress",
                "supplier": "Acme Ltd",
                "images": '["red.jpg"]',
                "price": 3.5,
            }
        ]
        * 5
    )
    _, report = tag_manifest(manifest)
    assert [c["column"] for c in report.columns] == ["title"]
    assert report.not_read == {
        "url": "addresses",
        "supplier": "none of its words mean a tag",
        "images": "lists and objects, no text",
    }


def test_kinds_of_columns_come_from_names_and_cells() -> None:
    row = {
        "description": "Red dress",
        "product_name": "Red dress",
        "path_in_shop": "Women > Dresses",
        "words": "a long red dress " * 5,
        "more": "<p>Red</p> <p>dress</p>",
        "steps": "Women > Dresses",
        "colour": "Red",
        "category": "dress",
    }
    _, report = tag_manifest(shop([row]))
    assert {c["column"]: c["kind"] for c in report.columns} == {
        "colour": "attribute",
        "product_name": "title",
        "category": "breadcrumbs",
        "path_in_shop": "breadcrumbs",
        "steps": "breadcrumbs",
        "more": "title",
        "description": "description",
        "words": "description",
    }


def test_named_columns_must_be_there_and_hold_text() -> None:
    manifest = shop([{"title": "Red dress", "price": 3.5}])
    with pytest.raises(UsageError, match="no column 'titel'.*Did you mean 'title'"):
        tag_manifest(manifest, TagSettings(columns=("titel",)))
    with pytest.raises(UsageError, match="holds double, no text; columns of text: .*title"):
        tag_manifest(manifest, TagSettings(columns=("price",)))
    with pytest.raises(UsageError, match="no column holds words that mean a tag"):
        tag_manifest(shop([{"sku": "A1 B2"}]))
    with pytest.raises(UsageError, match="no column of text"):
        tag_manifest(shop([{"price": 1}]))


# --- tags that are there --------------------------------------------------------------------------


def test_tags_that_are_there_stay_unless_replaced() -> None:
    row = {"title": "Red v-neck dress", "tags": ["collar=round", "brand=Acme", "Colour=Navy Blue"]}
    got, report = tags([row])
    assert got == [{"collar=round", "brand=Acme", "color=navy", "color=red", "category=dress"}]
    assert report.conflicts["between fields: collar"]["count"] == 1
    assert one(row, keep=False) == {"collar=v-neck", "color=red", "category=dress"}


def test_free_tags_are_read_as_words() -> None:
    row = {"title": "Summer", "tags": ["tag=floral", "tag=maxi dress"]}
    assert one(row) == {
        "category=dress", "length=maxi", "pattern=floral", "tag=floral", "tag=maxi dress",
    }  # fmt: skip
    assert one(row, keep=False, columns=("tags",)) == {
        "category=dress", "length=maxi", "pattern=floral",
    }  # fmt: skip


ROWS = [
    {"title": "Navy hoodie", "description": "Hidden buttons, long sleeves", "tags": ["x=Sea-Side"]},
    {"title": "Blue dress, 90 cm long", "description": "Not black.", "tags": ["x=seaside"]},
    {"title": "Polka dot skirt", "breadcrumbs": "Skirts > Midi", "tags": ["x=seaside"]},
    {"title": "Camel coat", "item_id": "p0", "domain": "street", "tags": []},
    {"title": None, "item_id": "p1", "tags": ["color=blue"]},
    {"title": "Tank Tops Blouses Shirts", "colour": "teal", "tags": []},
]


@pytest.mark.parametrize(
    "settings",
    [{}, {"keep": False}, {"min_count": 2}, {"min_count": 2, "keep": False}, {"merge": False}],
)
def test_the_same_again_changes_nothing(settings: dict[str, Any], tmp_path: Path) -> None:
    chosen = TagSettings(**settings)
    once, _ = tag_manifest(shop(ROWS), chosen)
    again, _ = tag_manifest(Manifest.read(once.write(tmp_path / "m.csv")), chosen)
    assert again.column("tags") == once.column("tags")
    assert [len(set(t)) for t in once.column("tags")] == [len(t) for t in once.column("tags")]


# --- the rows of one product ----------------------------------------------------------------------


def test_a_customer_s_words_never_override_the_shop_s() -> None:
    got, report = tags(
        [
            {"item_id": "a", "title": "Red dress"},
            {"item_id": "a", "title": None},
            {"item_id": "a", "domain": "street", "review_text": "Looks like an orange midi skirt!"},
            {"item_id": "b", "domain": "street", "review_text": "Nice orange skirt"},
        ]
    )
    assert got[:2] == [{"category=dress", "color=red"}] * 2
    assert got[2] == {"category=dress", "color=red", "length=midi"}
    assert got[3] == {"category=skirt", "color=orange"}
    assert report.overruled == 2


def test_shop_rows_that_disagree_fill_nothing() -> None:
    got, _ = tags(
        [
            {"item_id": "a", "title": "Red dress"},
            {"item_id": "a", "title": "Blue dress"},
            {"item_id": "a", "title": None},
        ]
    )
    assert got[2] == {"category=dress"}


# --- cleaning -------------------------------------------------------------------------------------


def test_rare_tags_become_their_parent_or_go() -> None:
    rows = [{"title": "Navy dress"}, {"title": "Blue dress"}, {"title": "Green dress"}]
    got, report = tags(rows, min_count=2)
    assert got == [
        {"category=dress", "color=blue"},
        {"category=dress", "color=blue"},
        {"category=dress"},
    ]
    assert {(r["tag"], r["into"], r["items"]) for r in report.rare} == {
        ("color=navy", "color=blue", 1), ("color=green", "", 1),
    }  # fmt: skip


def test_rarity_counts_products_not_pictures_and_goes_up_several_steps() -> None:
    vocabulary = read_vocabulary()
    attributes = vocabulary.attributes
    rows = [("category=jeans",)] * 5 + [("category=leggings",)]
    merges = rare(rows, ["a"] * 5 + ["b"], 2, attributes)
    assert merges["category=jeans"].into == "category=trousers"
    assert merges["category=leggings"].into == "category=trousers"
    assert "category=trousers" not in merges
    alone = rare(rows[:5], ["a"] * 5, 2, attributes)
    assert alone["category=jeans"].into == ""
    assert alone["category=trousers"].items == 1


def test_free_tags_spelt_nearly_alike_become_one() -> None:
    vocabulary = read_vocabulary()
    counts = {
        "x=Summer Dress": 9, "x=summer-dresses": 1, "x=summerdress": 2, "x=sumer dress": 1,
        "x=size 10": 9, "x=size 11": 1, "x=winter": 9, "x=splinter": 1, "color=red": 9,
        "color=rose": 1,
    }  # fmt: skip
    merges = near(counts, vocabulary)
    assert merges["x=summerdress"].into == "x=Summer Dress"
    assert merges["x=sumer dress"].into == "x=Summer Dress"
    assert not {"x=size 11", "x=splinter", "x=winter", "color=rose", "color=red"} & set(merges)


def test_a_list_of_tags_is_left_out(tmp_path: Path) -> None:
    noise = tmp_path / "noise.txt"
    noise.write_text("# what is noise\ncolor=red # AUC 0.5\n\nlength\n# category=dress\n")
    got, report = tags([{"title": "Red midi dress"}], drop=(noise,))
    assert got == [{"category=dress"}]
    assert [d["tag"] for d in report.dropped] == ["color=red", "length=midi"]
    with pytest.raises(DataError, match="list of tags to drop can't be read"):
        tags([{"title": "Red midi dress"}], drop=(tmp_path / "none",))


def test_the_report_counts_and_proposes() -> None:
    rows = [{"title": f"Red dress jersey {word}"} for word in ("flamenco", "flamenco", "flamenco")]
    _, report = tags([*rows, {"title": "Unsaid"}], sample=2)
    assert report.names["color"] == {"coverage": 0.75, "values": {"red": 3}}
    assert report.tagged == 3
    assert {w["word"]: w["rows"] for w in report.words} == {"flamenco": 3, "jersey": 3}
    assert len(report.sample) == 2
    _, constant = tags(rows)
    assert constant.constant == ["category=dress", "color=red"]


# --- how right it is ------------------------------------------------------------------------------


def test_labelled_texts_stay_as_right_as_they_are() -> None:
    spec = importlib.util.spec_from_file_location("tags_bench", ROOT / "benchmarks" / "tags.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    sys.modules["tags_bench"] = bench
    spec.loader.exec_module(bench)
    texts = bench.labelled()
    assert len(texts) >= 150
    every = read_vocabulary().attributes
    for _, wanted in texts:
        for tag in wanted:
            name, _, value = tag.partition("=")
            assert value in every[name].values
    made = bench.tagged([fields for fields, _ in texts], bench.FIELDS)
    found = bench.scores(made, [wanted for _, wanted in texts])["all"]
    assert found["precision"] > 0.95
    assert found["recall"] > 0.95
