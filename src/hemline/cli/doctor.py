"""``hemline doctor``: whether a catalogue can be served from this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._common import DatabaseOption, JsonOption, emit, natives_hushed, out

if TYPE_CHECKING:
    from hemline.service.settings import Settings


def doctor(
    catalog: Annotated[
        list[Path],
        typer.Argument(metavar="CATALOG...", help="The catalogue's folder, or several of them."),
    ],
    host: Annotated[str, typer.Option(help="As of 'hemline serve'.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(help="As of 'hemline serve'.")] = 1,
    name: Annotated[list[str] | None, typer.Option(help="As of 'hemline serve'.")] = None,
    public: Annotated[bool, typer.Option("--public", help="As of 'hemline serve'.")] = False,
    trusted_proxy: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="As of 'hemline serve'.")
    ] = None,
    root_path: Annotated[str, typer.Option(help="As of 'hemline serve'.")] = "",
    memory: Annotated[int | None, typer.Option(help="As of 'hemline serve'.")] = None,
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="As of 'hemline serve'.")
    ] = None,
    database: DatabaseOption = "",
    as_json: JsonOption = False,
) -> None:
    """Check whether a catalogue, or several, can be served from this machine; changes nothing.

    Looks at versions, permissions, disk space, the catalogue's database, index, bundle, one timed
    search, the database that services share, keys, the given options of 'hemline serve', the shop's
    settings file, kept photos and the last backup. Run it as the service's user. Each line says
    what to do. Exits with 1 if something fails; warnings don't count.

    Example: hemline doctor shop --public --name shop.example --trusted-proxy 127.0.0.1

    Example: hemline doctor shops/* --public --name shop.example --trusted-proxy 127.0.0.1
    """
    from hemline.service.settings import Settings

    several = len(catalog) > 1
    given = Settings(
        catalog[0],
        host,
        names=tuple(name or ()),
        public=public,
        proxies=tuple(trusted_proxy or ()),
        root_path=root_path,
        workers=workers,
        memory=(memory or 0) << 20,
        settings_file=settings,
        shops=tuple(catalog) if several else (),
        database=database,
    )
    results = _results(catalog, given)
    ok = all(result["ok"] for result in results)
    if several:
        sums = {n: sum(result[n] for result in results) for n in ("failures", "warnings")}
        emit({"ok": ok, **sums, "catalogs": results}, as_json, _words_of_several)
    else:
        emit(results[0], as_json, _words)
    if not ok:
        raise typer.Exit(1)


def _results(folders: list[Path], given: Settings) -> list[dict[str, Any]]:
    """What is found of each catalogue."""
    from hemline.service.doctor.run import examine

    results = []
    with natives_hushed():
        for folder in folders:
            found = examine(replace(given, catalog=folder, shops=()))
            results.append(_result(folder, [asdict(finding) for finding in found]))
    return results


def _result(catalog: Path, findings: list[dict[str, Any]]) -> dict[str, Any]:
    counts = [finding["status"] for finding in findings]
    return {
        "catalog": str(catalog),
        "ok": "failure" not in counts,
        "failures": counts.count("failure"),
        "warnings": counts.count("warning"),
        "findings": findings,
    }


def _words_of_several(result: Mapping[str, Any]) -> None:
    for own in result["catalogs"]:
        out(f"catalogue {own['catalog']}")
        _words(own)


def _words(result: Mapping[str, Any]) -> None:
    for finding in result["findings"]:
        out(f"{finding['status']:8} {finding['check']:12} {finding['found']}")
        if finding["advice"]:
            out(f"{'':21} → {finding['advice']}")
    named = ", ".join(
        dict.fromkeys(f["check"] for f in result["findings"] if f["status"] == "warning")
    )
    warned = f"{result['warnings']} warnings ({named})" if named else "no warnings"
    out(f"{result['failures']} failures, {warned}")


COMMANDS = {"doctor": doctor}
