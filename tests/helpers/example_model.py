"""The example of docs/models/README.md as a module."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

PAGE = Path(__file__).parents[2] / "docs" / "models" / "README.md"


def code() -> str:
    """The page's first Python block."""
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    return block[1]


def load() -> ModuleType:
    module = ModuleType("example_model")
    exec(compile(code(), str(PAGE), "exec", dont_inherit=True), module.__dict__)
    return module
