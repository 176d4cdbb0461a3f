"""A command: `hemline greet NAME`."""

from __future__ import annotations

from typing import Annotated

import typer


def greet(name: Annotated[str, typer.Argument(help="Whom to greet.")]) -> None:
    """Greet somebody.

    Example: hemline greet Ada
    """
    print(f"Hello {name}")


COMMANDS = {"greet": greet}
