"""``hemline key``: API keys of a served catalogue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._common import DatabaseOption, JsonOption, emit, out
from hemline.errors import UsageError

if TYPE_CHECKING:
    from hemline.service.database.keys import DatabaseKeys
    from hemline.service.keys import Key, KeyRing

_Folder = Annotated[Path, typer.Argument(metavar="CATALOG", help="The catalogue's folder.")]

app = typer.Typer(
    help="Create, list, revoke and delete the API keys of a catalogue.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _ring(catalog: Path, database: str) -> KeyRing | DatabaseKeys:
    """
    Raises:
        CatalogError: there is no catalogue.
    """
    from hemline.catalog.catalog import Catalog
    from hemline.service.settings import STATE, Settings
    from hemline.service.state import open_keys

    if not (catalog / STATE).is_dir():  # a key of a damaged catalogue can be revoked, too
        Catalog.open(catalog).close()
    return open_keys(Settings(catalog, database=database))


@app.command()
def create(
    catalog: _Folder,
    scope: Annotated[
        str, typer.Option(help="'read' may search; 'write' may change the catalogue too.")
    ],
    name: Annotated[str, typer.Option(help="Name of its owner.")] = "",
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="A lower limit of one query of this key, such as k=20. May be repeated.",
        ),
    ] = None,
    database: DatabaseOption = "",
    as_json: JsonOption = False,
) -> None:
    """Create a key and print it, this once: only its hash is stored.

    Once a catalogue has had a key, its service requires one of everybody.

    Example: hemline key create shop --scope read --name "search page"
    """
    secret, key = _ring(catalog, database).create(scope, name, _limits(limit or []))
    emit({"key": secret, **_shown(key)}, as_json, _tell_created)


@app.command("list")
def list_keys(catalog: _Folder, database: DatabaseOption = "", as_json: JsonOption = False) -> None:
    """List the keys, valid and revoked.

    Each line has id, scope, time of creation, name and limits.

    Example: hemline key list shop
    """
    ring = _ring(catalog, database)
    keys = ring.list()
    result = {
        "keys": [_shown(key) for key in keys if key.revoked is None],
        "revoked": [_shown(key) for key in keys if key.revoked is not None],
        "required": ring.required,
    }
    emit(result, as_json, _tell_list)


@app.command()
def revoke(
    catalog: _Folder,
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id.")],
    database: DatabaseOption = "",
    as_json: JsonOption = False,
) -> None:
    """Revoke a key for good.

    A running service refuses it from its next request on. After the last key nobody is let in
    until there is a new one.

    Example: hemline key revoke shop 1a2b3c4d
    """
    revoked = _ring(catalog, database).revoke(key)
    emit({"revoked": _shown(revoked)}, as_json, lambda r: out(f"{r['revoked']['id']} is revoked"))


@app.command()
def reset(catalog: _Folder, database: DatabaseOption = "", as_json: JsonOption = False) -> None:
    """Delete all keys, to serve without any again.

    That holds for a loopback address, and for a service that is started afterwards; a running one
    needs keys until it ends.

    Example: hemline key reset shop
    """
    count = _ring(catalog, database).reset()
    emit(
        {"deleted": count},
        as_json,
        lambda r: out(f"{r['deleted']} valid keys deleted; start the service again to open it"),
    )


def _limits(words: list[str]) -> dict[str, float]:
    """
    Raises:
        UsageError: not of the form NAME=NUMBER.
    """
    found: dict[str, float] = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            value = float(text)
        except ValueError:
            raise UsageError(f"a limit is like where_operators=50, not {word!r}") from None
        found[name] = int(value) if value.is_integer() else value
    return found


def _shown(key: Key) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": key.id,
        "name": key.name,
        "scope": key.scope,
        "created": key.created,
    }
    if key.limits:
        shown["limits"] = dict(key.limits)
    if key.revoked is not None:
        shown["revoked"] = key.revoked
    return shown


def _tell_created(result: Mapping[str, Any]) -> None:
    out(str(result["key"]))
    out(f"its id is {result['id']}, its scope {result['scope']}; it won't be shown again")


def _tell_list(result: Mapping[str, Any]) -> None:
    for key in result["keys"]:
        limits = "".join(f"  {name}={value}" for name, value in key.get("limits", {}).items())
        out(f"{key['id']}  {key['scope']:5}  {_minute(key['created'])}  {key['name']}{limits}")
    for key in result["revoked"]:
        when = f"revoked {_minute(key['revoked'])}"
        out(f"{key['id']}  {key['scope']:5}  {_minute(key['created'])}  {key['name']}  ({when})")
    if not result["keys"]:
        out("no valid key, and nobody is let in" if result["required"] else "no key")


def _minute(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


COMMANDS = {"key": app}
