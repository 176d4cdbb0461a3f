from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hemline.errors import UsageError
from hemline.registry import Registry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "one.py").write_text("PARTS = {'alpha': 1, 'beta': 2}\n")
    (folder / "_helper.py").write_text("raise RuntimeError('a helper is not read')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "parts"]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def test_every_module_without_underscore_is_found(package: Path) -> None:
    (package / "two.py").write_text("PARTS = {'gamma': 3}\n")
    registry: Registry[int] = Registry("parts", "PARTS", "part")
    assert list(registry) == ["alpha", "beta", "gamma"]
    assert registry["gamma"] == 3
    assert "beta" in registry
    assert "delta" not in registry
    assert len(registry) == 3


def test_nothing_is_imported_before_it_is_asked_for(package: Path) -> None:
    Registry("parts", "PARTS", "part")
    assert "parts.one" not in sys.modules


def test_an_unknown_name_names_the_nearest(package: Path) -> None:
    registry: Registry[int] = Registry("parts", "PARTS", "part")
    with pytest.raises(UsageError, match="no part 'alpa'. Did you mean 'alpha'"):
        registry["alpa"]
    with pytest.raises(UsageError, match="Known: alpha, beta"):
        registry["zzzzzz"]


def test_a_name_declared_twice_is_our_mistake(package: Path) -> None:
    (package / "two.py").write_text("PARTS = {'alpha': 3}\n")
    with pytest.raises(RuntimeError, match="declared twice"):
        list(Registry("parts", "PARTS", "part"))


def test_a_module_that_declares_nothing_is_our_mistake(package: Path) -> None:
    (package / "two.py").write_text("")
    with pytest.raises(RuntimeError, match="declares no PARTS"):
        list(Registry("parts", "PARTS", "part"))


def test_a_module_may_declare_the_attribute_of_another_registry(package: Path) -> None:
    (package / "two.py").write_text("OTHERS = {'gamma': 3}\n")
    assert list(Registry("parts", "PARTS", "part", beside=("OTHERS",))) == ["alpha", "beta"]
    assert dict(Registry("parts", "OTHERS", "other", beside=("PARTS",))) == {"gamma": 3}


def test_an_old_name_works_and_warns(package: Path) -> None:
    registry: Registry[int] = Registry("parts", "PARTS", "part", renamed={"omega": "beta"})
    with pytest.warns(FutureWarning, match="the part 'omega' is now called 'beta'"):
        assert registry["omega"] == 2
    assert "omega" not in list(registry)
