"""What words mean, text by text: the rules that tell a product's own words from others."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hemline.tagging import Matcher, read_vocabulary
from hemline.tagging._text import fold, segments, tokens

ROOT = Path(__file__).parents[2]
GERMAN = ROOT / "docs" / "vocabulary-german.toml"


@pytest.fixture(scope="module")
def english() -> Matcher:
    return Matcher(read_vocabulary())


def read(matcher: Matcher, text: str) -> set[str]:
    return {f"{f.name}={f.value}" for f in matcher.read(text).matches}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("T-shirt", "category=t-shirt"),
        ("t  SHIRT", "category=t-shirt"),
        ("Shirt dress", "category=dress"),
        ("tiered dresses", "shape=tiered category=dress"),
        ("Mini dress", "length=mini category=dress"),
        ("boat neckline", "collar=boat"),
        ("button-down collar", "collar=button-down"),
        ("button-down shirt", "button=single-breasted category=shirt"),
        ("long sleeves", "sleeve_length=long"),
        ("long puff sleeves", "sleeve_length=long sleeve_shape=puff"),
        ("long black coat", "length=long color=black category=coat"),
        ("long, boring delivery", ""),
        ("3/4 sleeves", "sleeve_length=three-quarter"),
        ("polka dot & gingham", "pattern=polka-dot pattern=gingham"),
        ("navy blue", "color=navy"),
        ("déco crème? cafe; grey", "color=grey"),
        ("ｆｌｏｒａｌ", "pattern=floral"),
        ("Plissé skirt", "shape=pleated category=skirt"),
        ("<p>Red<br/>dress</p>", "color=red category=dress"),
        ("Red&nbsp;dress", "color=red category=dress"),
        ("", ""),
        ("!!! ... 12 34/32 🎉", ""),
    ],
)
def test_words(english: Matcher, text: str, wanted: str) -> None:
    assert read(english, text) == set(wanted.split())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("no hood", ""),
        ("without a hood", ""),
        ("not black or navy but red", "color=red"),
        ("Has no hood. Red", "color=red"),
        ("no sleeves", "sleeve_length=sleeveless"),
        ("without sleeves", "sleeve_length=sleeveless"),
        ("collarless", "collar=none"),
        ("not only black but white", "color=black color=white"),
        ("non-iron shirt", "category=shirt"),
    ],
)
def test_what_a_text_denies(english: Matcher, text: str, wanted: str) -> None:
    assert read(english, text) == set(wanted.split())


def test_what_is_denied_is_told(english: Matcher) -> None:
    (denied,) = english.read("isn't black").negated
    assert (denied.name, denied.value) == ("color", "black")


@pytest.mark.parametrize(
    "text",
    [
        "90 cm long",
        "3 cm long",
        "3.5 cm long",
        "90cm long coating",
        "size 12 short",
        "34/32 regular",
        "One size",
        "S/M/L, XS, 2XL",
        "fits sizes 8 to 10",
        "available in regular and long",
        "$29.90",
        "true to size",
    ],
)
def test_sizes_are_no_values(english: Matcher, text: str) -> None:
    assert read(english, text) == set()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Pairs well with black jeans, white shirts and a red coat. Green", "color=green"),
        ("Style it with denim shorts", ""),
        ("Wear with a navy blazer", ""),
        ("Red (model also wears our black skirt), cropped", "color=red length=cropped"),
        ("Inspired by green jackets", ""),
        ("Grey. Matching black jacket sold separately", "color=grey"),
        ("Grey, brown belt not included", "color=grey"),
        ("gold buttons", "button=button-front"),
        ("white with navy trim", "color=white"),
        ("hand cream", ""),
        ("rose gold", ""),
    ],
)
def test_other_things_are_not_the_product(english: Matcher, text: str, wanted: str) -> None:
    assert read(english, text) == set(wanted.split())


def test_variants_are_marked(english: Matcher) -> None:
    found = english.read("Red dress. Available in blue and green.").matches
    assert [(f.value, f.variant) for f in found] == [
        ("red", False), ("dress", False), ("blue", True), ("green", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Sleeve length: long", "sleeve_length=long"),
        ("Neckline: Shirt; Length: Short", "collar=shirt length=short"),
        ("Colour: Navy Blue / White", "color=navy color=white"),
        ("Pattern=Solid", "pattern=plain"),
        ("collar: hood, category: coat", "collar=hood category=coat"),
    ],
)
def test_labels_announce_a_value_by_its_own_name(english: Matcher, text: str, wanted: str) -> None:
    assert read(english, text) == set(wanted.split())
    assert "shirt" not in {f.value for f in english.read("long and straightforward").matches}


def test_a_value_s_own_name_is_no_word_by_itself(english: Matcher) -> None:
    assert read(english, "short and long of it: knee") == set()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Blumenkleid", "category=dress pattern=floral"),
        ("Sommerkleid mit langen Ärmeln", "category=dress sleeve_length=long"),
        ("AERMELLOSES KLEID", "sleeve_length=sleeveless category=dress"),
        ("weisses Hemd ohne Kapuze", "color=white category=shirt"),
        ("Rock, passt zu schwarzen Jacken. Rot", "category=skirt color=red"),
        ("Mantel, 90 cm lang", "category=coat"),
        ("Kragen: Stehkragen", "collar=stand"),
    ],
)
def test_another_language_is_another_file(text: str, wanted: str) -> None:
    assert read(Matcher(read_vocabulary(GERMAN)), text) == set(wanted.split())


def test_two_languages_at_once() -> None:
    both = Matcher(read_vocabulary("english", GERMAN))
    assert read(both, "Red dress, rotes Kleid, Wickelkleid, café") == {
        "color=red", "category=dress",
    }  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        "long short a the dress with label: black no hood ",
        "colour: ",
        "colour: red mini dress ",
        "pairs with ",
        "red sold separately ",
        "available in ",
        "mini shirt dress ",
        "not or a ",
        "(",
        "t-",
    ],
)
def test_long_texts_cost_no_more_than_their_length(english: Matcher, words: str) -> None:
    def seconds(times: int) -> float:
        begin = time.process_time()
        english.read(words * times)
        return time.process_time() - begin

    seconds(100)
    assert seconds(8_000) < 40 * seconds(800) + 0.5  # ten times the words; squared would be 100


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_text_can_be_read(english: Matcher, text: str) -> None:
    reading = english.read(text)
    for found in (*reading.matches, *reading.negated):
        assert 0 <= found.start < found.end <= len(reading.tokens)
        assert found.value in english.vocabulary.attributes[found.name].values
    assert [f.start for f in reading.matches] == sorted(f.start for f in reading.matches)


WORDS = sorted(
    {
        *("no", "not", "without", "or", "and", "with", ",", ".", ":", "(", ")", "colour", "neck"),
        *("red", "navy", "blue", "shirt", "dress", "mini", "long", "short", "sleeve", "button"),
        *("down", "collar", "available", "in", "pairs", "sold", "separately", "12", "cm", "t"),
    }
)


@given(st.lists(st.sampled_from(WORDS), max_size=25))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_order_of_its_words_can_be_read(english: Matcher, words: list[str]) -> None:
    reading = english.read(" ".join(words))
    spans: dict[str, list[tuple[int, int]]] = {}
    for found in reading.matches:
        spans.setdefault(found.name, []).append((found.start, found.end))
    for of_name in spans.values():  # values of one name never share a word
        for one, other in itertools.pairwise(sorted(of_name)):
            assert one[1] <= other[0] or one == other


def test_tokens_and_steps() -> None:
    assert tokens(fold("Knee-length - T&C 1,5 cm.", {})) == [
        "knee", "length", "-", "t", "and", "c", "1,5", "cm", ".",
    ]  # fmt: skip
    assert segments("Women > Tops / Tees > Polos") == ["Women", "Tops / Tees", "Polos"]
    assert segments("Women/Coats") == ["Women", "Coats"]
    assert segments("") == []
