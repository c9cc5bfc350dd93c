"""``geoseg init``: write a recipe or the configuration of an archive, checked on the data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

init = typer.Typer(help="Write a training recipe or an archive's configuration, with comments, checked on the data.")

_TARGET = "File to write, .yaml."


@init.command("train")
def init_train(
    recipe: Annotated[Path, typer.Argument(help=_TARGET)],
    images: Annotated[
        str | None, typer.Option(help="Images: a file, a folder or a pattern with one *, relative to --data.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Labels: polygons or class rasters, a file or a pattern; relative to --data.")
    ] = None,
    attribute: Annotated[str | None, typer.Option(help="Field of the polygons that holds the class.")] = None,
    class_name: Annotated[str, typer.Option(help="Polygons without --attribute: name of their class.")] = "object",
    data: Annotated[Path, typer.Option(help="Folder that images and labels are relative to.")] = Path(),
    name: Annotated[str | None, typer.Option(help="Name of the model; default: that of the file.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the model.")] = "all rights reserved",
    start_from: Annotated[
        str | None, typer.Option(help="Bundled model or model file whose weights the training begins with.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Length of the training, minutes; default: 30.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Length of the training, steps of the optimiser.")] = None,
    assume_crs: Annotated[str | None, typer.Option(help="CRS of images that carry none, e.g. EPSG:32633.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Write a training recipe for images and labels; asks for them where stdin is a terminal."""
    from geoseg.cli.arguments.options import checked
    from geoseg.training.drafts.recipe_draft import RecipeRequest, draft_recipe

    asked = _Questions([("--images", images), ("--labels", labels)])
    images = asked.answer(images, "Images (file, folder or pattern with one *)")
    labels = asked.answer(labels, "Labels (polygons or class rasters)")
    if asked.asks:
        attribute = attribute or asked.optional("Field of the polygons with the class (empty: one class)")
        start_from = start_from or asked.optional("Model to start from (empty: random weights)")
    _check_target(recipe, overwrite=overwrite)
    draft = draft_recipe(
        checked(
            RecipeRequest,
            data=data,
            images=images,
            labels=labels,
            attribute=attribute,
            class_name=class_name,
            name=_model_name(recipe) if name is None else name,
            licence=licence,
            start_from=start_from,
            minutes=minutes,
            steps=steps,
            assume_crs=assume_crs,
        )
    )
    _write(recipe, draft.text)
    command = draft.command(recipe)
    if as_json:
        shares = {key: {"train": train, "validate": validate} for key, (train, validate) in draft.shares.items()}
        _print_json(recipe, command, draft.findings, draft.warnings, {"classes": shares})
        return
    _print(recipe, command, draft.findings, draft.warnings, lambda: _print_shares(draft.shares))


@init.command("archive")
def init_archive(
    config: Annotated[Path, typer.Argument(help=_TARGET)],
    source: Annotated[
        str | None, typer.Option(help="Folder of scenes, list of them (.txt), STAC file or address, published set.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Bundled model or model file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the archive's output; default: out/NAME.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="folder, list, stac, vaihingen, potsdam or deepglobe; default: by the name.")
    ] = None,
    glob: Annotated[str | None, typer.Option(help="Names to take from a folder, e.g. '*_ortho.tif'.")] = None,
    title: Annotated[str, typer.Option(help="Title of the archive.")] = "",
    assume_crs: Annotated[str | None, typer.Option(help="CRS of scenes that carry none, e.g. EPSG:32633.")] = None,
    allow_remote: Annotated[bool, typer.Option("--allow-remote", help="Read https:// and s3:// addresses.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Write the configuration of an archive; asks for source and model where stdin is a terminal."""
    from geoseg.archive.draft import ArchiveRequest, draft_archive
    from geoseg.cli.arguments.options import checked
    from geoseg.io.files.targets import check_folder

    asked = _Questions([("--source", source), ("--model", model)])
    source = asked.answer(source, "Source (folder, list, STAC file or address)")
    model = asked.answer(model, "Model (bundled name or file)")
    if out is not None:
        check_folder(out)
    _check_target(config, overwrite=overwrite)
    request = checked(
        ArchiveRequest,
        source=source,
        kind=kind,
        glob=glob,
        model=model,
        out=Path("out", config.stem) if out is None else out,
        title=title,
        assume_crs=assume_crs,
        allow_remote=allow_remote,
    )
    draft = draft_archive(request, config.absolute().parent)
    _write(config, draft.text)
    if as_json:
        _print_json(config, draft.command(config), draft.findings, draft.warnings, {})
        return
    _print(config, draft.command(config), draft.findings, draft.warnings, lambda: None)


@init.command("example")
def init_example(
    name: Annotated[str | None, typer.Argument(help="Example, e.g. train/town_unet; default: list them.")] = None,
    target: Annotated[Path | None, typer.Argument(help="File to write; default: its name, in this folder.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """List the recipes and configurations that come with geoseg, or copy one."""
    from geoseg.errors import UsageError
    from geoseg.io.files.examples import examples

    known = examples()
    if name is None:
        print("\n".join(known))
        return
    if name not in known:
        raise UsageError(f"{name}: there is no such example; there are {', '.join(known)}.")
    path = Path(known[name].name) if target is None else target
    _check_target(path, overwrite=overwrite)
    _write(path, known[name].read_text(encoding="utf-8"))
    print(path)


class _Questions:
    """Asks for required options that are missing, if stdin is a terminal and none of them was given.

    Raises:
        UsageError: some are missing and nobody can be asked.
    """

    def __init__(self, required: list[tuple[str, str | None]]) -> None:
        from geoseg.errors import UsageError

        missing = [option for option, value in required if value is None]
        self.asks = len(missing) == len(required) and sys.stdin is not None and sys.stdin.isatty()
        if missing and not self.asks:
            raise UsageError(f"{' and '.join(missing)} must be given (a terminal without any of them asks).")

    def answer(self, value: str | None, question: str) -> str:
        """Return the option's value, or the answer to a question."""
        return value if value is not None else str(typer.prompt(question, err=True)).strip()

    def optional(self, question: str) -> str | None:
        """Return the answer to a question that may stay empty."""
        return str(typer.prompt(question, default="", show_default=False, err=True)).strip() or None


def _check_target(path: Path, *, overwrite: bool) -> None:
    from geoseg.errors import UsageError
    from geoseg.io.files.targets import check_folder, keep_existing

    if path.suffix.lower() not in {".yaml", ".yml"}:
        raise UsageError(f"{path}: the file to write must end in .yaml.")
    check_folder(path.absolute().parent)
    keep_existing(path, overwrite=overwrite, cure="Give another name, or --overwrite to replace it.")


def _write(path: Path, text: str) -> None:
    from geoseg.io.files.targets import make_folder
    from geoseg.io.files.writing import write_bytes

    make_folder(path.absolute().parent)
    write_bytes(path, text.encode())


def _model_name(path: Path) -> str:
    """Make the name of a model from that of its recipe."""
    plain = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in path.stem.lower())
    return plain.strip("-") or "my-model"


def _print(
    path: Path, command: str, findings: Iterable[str], warnings: Iterable[str], more: Callable[[], None]
) -> None:
    from geoseg.core.text import printable

    for line in findings:
        print(printable(line))
    more()
    for line in warnings:
        print(printable(f"check: {line}"))
    print(printable(f"{path} is written; read it, then run"))
    print(printable(f"  {command}"))


def _print_shares(shares: dict[str, tuple[float, float]]) -> None:
    from geoseg.core.text import printable

    print(f"{'class':<24} {'train':>8} {'validate':>9}  share of the labelled pixels")
    for name, (train, validate) in shares.items():
        print(f"{printable(name):<24} {train:>8.2%} {validate:>9.2%}")


def _print_json(
    path: Path, command: str, findings: Iterable[str], warnings: Iterable[str], more: dict[str, object]
) -> None:
    facts = {"file": str(path), "next": command, "findings": list(findings), "warnings": list(warnings)}
    print(json.dumps(facts | more))
