"""``hemline data``: make, read, check, show and write manifests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._check import check, show
from hemline.cli._common import JsonOption, ManifestArgument, Workers, emit, out, progress, say
from hemline.cli._crop import crop as crop_command
from hemline.cli._fetch import fetch
from hemline.cli._pairs import join, pairs
from hemline.cli._protocol import protocol
from hemline.cli._tags import tags
from hemline.errors import UsageError

app = typer.Typer(
    help="Make, read, check and show manifests, the tables of images that other commands take.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _strength(text: str) -> Any:
    return typer.Option(min=0.0, max=1.0, show_default=False, help=f"0 to 1: {text}.")


@app.command("make")
def make(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Output folder; an unfinished one is completed.")
    ],
    products: Annotated[int, typer.Option(min=1, help="Number of products.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same images.")] = 0,
    photos: Annotated[
        Path | None, typer.Option(help="A folder of garment photos to cut garments from.")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of the square images in pixels.")] = 224,
    shop_views: Annotated[int, typer.Option(min=1, help="Shop images of each product.")] = 1,
    street_views: Annotated[int, typer.Option(min=0, help="Street images of each product.")] = 2,
    others: Annotated[float | None, _strength("other garments beside the product")] = None,
    clutter: Annotated[float | None, _strength("objects and people around")] = None,
    occlusion: Annotated[float | None, _strength("hands, hair and bags in front")] = None,
    pose: Annotated[float | None, _strength("bent arms, turned body, perspective")] = None,
    light: Annotated[float | None, _strength("bad light and colour cast")] = None,
    blur: Annotated[float | None, _strength("motion and focus blur")] = None,
    noise: Annotated[float | None, _strength("sensor noise")] = None,
    jpeg: Annotated[float | None, _strength("JPEG artefacts")] = None,
    crop: Annotated[float | None, _strength("how much may leave the frame")] = None,
    mirror: Annotated[float | None, _strength("share of mirror selfies")] = None,
    workers: Workers = None,
    json: JsonOption = False,
) -> None:
    """Draw a labelled data set of fashion images, shop and street.

    The same command resumes an interrupted run; a larger --products extends the data set.

    Example: hemline data make -o drawn --products 1000 --seed 7
    """
    from hemline.data.manifest import Manifest
    from hemline.synthetic.make import make_dataset
    from hemline.synthetic.settings import SyntheticSettings

    given = {
        "others": others, "clutter": clutter, "occlusion": occlusion, "pose": pose, "light": light,
        "blur": blur, "noise": noise, "jpeg": jpeg, "crop": crop, "mirror": mirror,
    }  # fmt: skip
    settings = SyntheticSettings(size=size, **{k: v for k, v in given.items() if v is not None})
    with progress("drawing products") as advance:
        path = make_dataset(
            output,
            products,
            seed,
            settings,
            photos=photos,
            shop_views=shop_views,
            street_views=street_views,
            workers=workers,
            progress=advance,
        )
    made = Manifest.read(path)
    result = _summary(made, path) | {"seed": seed, "settings": settings.to_json()}
    emit(result, json, _print_summary)


@app.command("read")
def read(
    format: Annotated[str, typer.Argument(help="See --list.", show_default=False)] = "",
    root: Annotated[
        Path | None, typer.Argument(help="The data's folder or file.", show_default=False)
    ] = None,
    options: Annotated[
        list[str] | None, typer.Argument(help="Options of the format, each name=value.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The manifest: .parquet or .csv.")
    ] = None,
    list_formats: Annotated[
        bool, typer.Option("--list", help="List the formats, their options and how to get them.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Read a data set of a known format into a manifest.

    Missing images are left out and counted.

    Example: hemline data read folder photos -o photos/manifest.parquet

    Example: hemline data read csv list.csv -o m.parquet item_id=sku domain=@shop
    """
    from hemline.datasets import READERS

    if list_formats:
        emit({"formats": [_format(spec) for spec in READERS.values()]}, json, _print_formats)
        return
    if not format or root is None:
        raise UsageError("`hemline data read` needs FORMAT and ROOT; --list names the formats")
    spec = READERS[format]
    if output is None:
        raise UsageError("say where the manifest goes: -o MANIFEST (.parquet or .csv)")
    manifest, report = spec.read(root, **_pairs(options or []))
    path = manifest.write(output)
    result = _summary(manifest, path) | {
        "format": format,
        **{name: getattr(report, name) for name in ("listed", "found", "missing", "broken")},
        "left_out": report.examples,
        "notes": report.notes,
        "published": {
            name: {"published": there, "here": here}
            for name, (there, here) in report.published.items()
        },
        "differences": report.differences(),
        "licence": spec.licence,
    }
    emit(result, json, _print_read)


@app.command("write")
def write(
    format: Annotated[str, typer.Argument(help="A format that can be written: oml.")],
    manifest: ManifestArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")],
    json: JsonOption = False,
) -> None:
    """Write a manifest in another tool's format.

    Example: hemline data write oml m.parquet -o frame.csv
    """
    from hemline.data.manifest import Manifest
    from hemline.datasets import READERS

    spec = READERS[format]
    if spec.writer is None:
        can = ", ".join(name for name, other in READERS.items() if other.writer)
        raise UsageError(f"the format {format!r} is read only; these can be written: {can}")
    table = Manifest.read(manifest)
    spec.writer(table, output)
    result = {"format": format, "path": str(output), "rows": len(table)}
    emit(result, json, lambda r: out(f"{r['rows']:,} rows written to {r['path']}"))


def _pairs(options: list[str]) -> dict[str, str]:
    pairs = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise UsageError(f"an option of a format is name=value, not {option!r}")
        pairs[name] = value
    return pairs


def _summary(manifest: Any, path: Path) -> dict[str, Any]:
    domain = manifest.column("domain")
    return {
        "manifest": str(path),
        "rows": len(manifest),
        "items": len(set(manifest.column("item_id"))),
        "street": int((domain == "street").sum()),
        "shop": int((domain == "shop").sum()),
        "tags": len(manifest.tag_vocabulary()),
        "fingerprint": manifest.fingerprint(),
    }


def _print_summary(result: Mapping[str, Any]) -> None:
    out(
        f"{result['rows']:,} rows of {result['items']:,} items ({result['street']:,} street, "
        f"{result['shop']:,} shop), {result['tags']} tags: {result['manifest']}"
    )


def _print_read(result: Mapping[str, Any]) -> None:
    for note in result["notes"]:
        out(note)
    for path in result["left_out"]:
        say(f"left out: {path}")
    line = f"{result['listed']:,} rows listed, {result['found']:,} found"
    if result["missing"] or result["broken"]:
        line += (
            f", {result['missing']:,} missing and {result['broken']:,} broken (empty, no file or "
            "outside the data); these are left out"
        )
    out(line)
    if result["published"] and not result["differences"]:
        out(f"as published: {', '.join(result['published'])}")
    for difference in result["differences"]:
        out(f"not as published: {difference}")
    _print_summary(result)


def _format(spec: Any) -> dict[str, Any]:
    own = {name: getattr(spec, name) for name in ("name", "summary", "get", "licence")}
    return own | {"options": dict(spec.options), "writes": spec.writer is not None}


def _print_formats(result: Mapping[str, Any]) -> None:
    for spec in result["formats"]:
        out(f"{spec['name']}: {spec['summary']}")
        out(f"    get it: {spec['get']}. Licence: {spec['licence']}")
        for name, text in spec["options"].items():
            out(f"    {name}=  {text}")


app.command("fetch")(fetch)
app.command("pairs")(pairs)
app.command("join")(join)
app.command("check")(check)
app.command("show")(show)
app.command("crop")(crop_command)
app.command("protocol")(protocol)
app.command("tags")(tags)

COMMANDS: Mapping[str, typer.Typer] = {"data": app}
