"""The vocabulary: what ships can say what drawn images show; a wrong file is told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hemline.errors import DataError
from hemline.tagging import Matcher, read_vocabulary


def test_all_tags_of_drawn_images_can_be_said() -> None:
    pytest.importorskip("cv2", reason="drawing needs hemline[synthetic]")
    from hemline.synthetic.categories import ATTRIBUTES

    vocabulary = read_vocabulary()
    assert set(vocabulary.attributes) == {
        *("category", "color", "shape", "collar", "pattern", "sleeve_shape", "sleeve_length"),
        *("button", "length"),
    }
    matcher = Matcher(vocabulary)
    for name, values in ATTRIBUTES.items():
        for value in values:
            assert value in vocabulary.attributes[name].values
            (found,) = matcher.read(f"{name}: {value}").matches
            assert (found.name, found.value) == (name, value)


def test_every_value_has_words_and_parents_are_wider() -> None:
    vocabulary = read_vocabulary()
    assert vocabulary.words > 2000
    for name, attribute in vocabulary.attributes.items():
        for value, words in attribute.values.items():
            assert words or (name, value) == ("sleeve_shape", "none")
    assert vocabulary.attributes["color"].ancestors("navy") == ("blue",)


GOOD = 'format = 1\n[color.values]\nred = ["red"]\nblue = ["blue"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "format is None; this hemline reads 1"),
        ("format = 1\n", r"has no \[NAME\]"),
        ("format = ", "can't be read as TOML"),
        ('format = 1\n[color]\nlabels = ["x"]', r"lacks \[color.values\]"),
        ("format = 1\nformat = 1", "can't be read as TOML"),
        ('format = 1\n[color]\nlabel = ["c"]\n[color.values]\nred = []', "Did you mean 'labels'"),
        ("format = 1\n[color.values]\nred = 'red'", "color.values.red is a list of words"),
        (GOOD + 'green = ["Red"]', "'Red' stands for color=red and for color=green"),
        (GOOD + 'green = ["!"]', "has no letter"),
        (GOOD + '[color.parents]\nred = "rot"', "names 'rot', which is no value"),
        (GOOD + '[color.parents]\nred = "blue"\nblue = "red"', "go round"),
        (GOOD + '[color.implies]\nred = ["shape=slim"]', "has no such tag: 'shape=slim'"),
        (GOOD + "[rules]\nnegation = []", "Did you mean 'negations'"),
        (GOOD + 'green = ["green ... "]', 'is none of "word ... word"'),
        (GOOD + 'green = ["green ... {colour}"]', "Did you mean 'color'"),
        ("format = 1\nletters = {ab = 'c'}\n" + GOOD[11:], "one letter"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "v.toml"
    file.write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        read_vocabulary(file)
    assert "\n" not in str(caught.value).strip()


def test_no_file_and_no_utf8(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="shipped: english"):
        read_vocabulary(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes("format = 1 # \xe4".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        read_vocabulary(tmp_path / "latin.toml")


def test_files_join(tmp_path: Path) -> None:
    more = tmp_path / "more.toml"
    more.write_text(
        'format = 1\n[color.values]\nred = ["brick lane"]\n[fabric.values]\nsilk = ["silk"]'
    )
    both = read_vocabulary("english", more)
    found = {f.value for f in Matcher(both).read("brick lane silk scarlet").matches}
    assert found == {"red", "silk"}
