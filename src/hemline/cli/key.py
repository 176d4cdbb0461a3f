"""``hemline key``: API keys of a served catalogue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, out

if TYPE_CHECKING:
    from hemline.service.keys import Key, KeyRing

_Folder = Annotated[Path, typer.Argument(metavar="CATALOG", help="The catalogue's folder.")]

app = typer.Typer(
    help="Create, list and revoke the API keys of a catalogue.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _ring(catalog: Path) -> KeyRing:
    """
    Raises:
        CatalogError: there is no catalogue.
    """
    from hemline.catalog.catalog import Catalog
    from hemline.service.keys import KeyRing
    from hemline.service.settings import STATE

    Catalog.open(catalog).close()
    return KeyRing(catalog / STATE)


@app.command()
def create(
    catalog: _Folder,
    scope: Annotated[
        str, typer.Option(help="'read' may search; 'write' may change the catalogue too.")
    ],
    name: Annotated[str, typer.Option(help="Name of its owner.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Create a key and print it, this once: only its hash is stored.

    Once a catalogue has a key, its service requires one of everybody.

    Example: hemline key create shop --scope read --name "search page"
    """
    secret, key = _ring(catalog).create(scope, name)
    emit({"key": secret, **_shown(key)}, as_json, _tell_created)


@app.command("list")
def list_keys(catalog: _Folder, as_json: JsonOption = False) -> None:
    """List the keys: id, scope, name, time of creation.

    Example: hemline key list shop
    """
    emit({"keys": [_shown(key) for key in _ring(catalog).all()]}, as_json, _tell_list)


@app.command()
def revoke(
    catalog: _Folder,
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id.")],
    as_json: JsonOption = False,
) -> None:
    """Revoke a key; a running service refuses it from its next request on.

    Example: hemline key revoke shop 1a2b3c4d
    """
    revoked = _ring(catalog).revoke(key)
    emit({"revoked": _shown(revoked)}, as_json, lambda r: out(f"{r['revoked']['id']} is revoked"))


def _shown(key: Key) -> dict[str, Any]:
    return {"id": key.id, "name": key.name, "scope": key.scope, "created": key.created}


def _tell_created(result: Mapping[str, Any]) -> None:
    out(str(result["key"]))
    out(f"its id is {result['id']}, its scope {result['scope']}; it won't be shown again")


def _tell_list(result: Mapping[str, Any]) -> None:
    for key in result["keys"]:
        created = time.strftime("%Y-%m-%d %H:%M", time.localtime(key["created"]))
        out(f"{key['id']}  {key['scope']:5}  {created}  {key['name']}")
    if not result["keys"]:
        out("no key")


COMMANDS = {"key": app}
