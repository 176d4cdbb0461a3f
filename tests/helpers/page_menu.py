"""The menu of a product on the page."""

from __future__ import annotations

from typing import Any

from helpers.page_acts import titles


def menu(page: Any, number: int = 0) -> Any:
    """Opens the menu of a product by its place in the grid; the product."""
    card = page.locator(".product").nth(number)
    if card.locator(".dots").get_attribute("aria-expanded") == "false":
        card.locator(".dots").click()
    return card


def choose(page: Any, name: str, number: int = 0) -> str:
    """Chooses from the menu of a product; its title."""
    title = titles(page)[number]
    menu(page, number).get_by_role("button", name=f"{name} {title}", exact=True).click()
    return title


def why(page: Any, number: int = 0) -> str:
    return choose(page, "Why?", number)


def like(page: Any, number: int = 0) -> str:
    return choose(page, "More like this:", number)
