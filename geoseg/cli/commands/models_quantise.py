"""``geoseg models quantise``: a model that also runs in 8-bit integers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from geoseg.core.card import ModelCard
    from geoseg.training.quantisation.quantise import QuantiseData


def quantise(
    model: Annotated[str, typer.Argument(help="Model file, or name of a bundled model.")],
    recipe: Annotated[
        Path | None,
        typer.Option(help="Training recipe; its rows to validate on are compared on."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder that the recipe's images and labels are relative to.")
    ] = None,
    scene: Annotated[
        list[Path] | None,
        typer.Option(help="Instead of a recipe: scenes without labels; the lower halves are compared on."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Model file to write; default: MODEL_int8.safetensors.")] = None,
    preferred: Annotated[
        bool, typer.Option("--preferred/--not-preferred", help="Whether --precision auto takes the int8 form.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON on stdout.")] = False,
) -> None:
    """Add a form in 8-bit integers, which OpenVINO runs faster; refused where the maps would change too much."""
    from geoseg.errors import UsageError
    from geoseg.io.files.targets import keep_existing, keep_inputs
    from geoseg.io.weights.model_file import read_card
    from geoseg.models.bundled import BUNDLED, resolve
    from geoseg.training.quantisation.quantise import quantise_file

    if out is None and model in BUNDLED:
        raise UsageError(f"{model}: a bundled model stays as it is. Pass --out for the quantised file.")
    path, _ = resolve(model)
    target = path.with_name(f"{path.stem}_int8.safetensors") if out is None else out
    keep_inputs((path, recipe, *(scene or ())), target)
    keep_existing(target, overwrite=False, cure="Remove it or choose another --out.")
    card = quantise_file(path, _data(read_card(path), recipe, data, scene or []), target, preferred=preferred)
    if as_json:
        print(card.model_dump_json())
        return
    if card.int8 is not None:
        print(f"{card.int8.agreement:.2%} of the pixels keep their class, on {card.int8.on}")
        if card.int8.metric:
            print(f"{card.int8.metric} {card.int8.score_fp32:.4f} in float32, {card.int8.score_int8:.4f} in int8")
    print(target)


def _data(card: ModelCard, recipe_file: Path | None, data: Path | None, scenes: list[Path]) -> QuantiseData:
    from geoseg.data.labelled import read_source
    from geoseg.errors import UsageError
    from geoseg.training.calibrate import check_recipe, names_of
    from geoseg.training.quantisation.parts import of_images, of_scenes
    from geoseg.training.quantisation.quantise import QuantiseData
    from geoseg.training.recipe import read_recipe

    if scenes and recipe_file is None and data is None:
        return QuantiseData(
            calibration=of_scenes(scenes, upper=True),
            held_out=of_scenes(scenes, upper=False),
            on=", ".join(f"the lower half of {path.name}" for path in scenes),
        )
    if recipe_file is None or data is None or scenes:
        raise UsageError("give --recipe and --data, or --scene.")
    recipe = read_recipe(recipe_file)
    check_recipe(recipe_file, recipe, card)
    trained, held_out = (
        [image for source in recipe.sources for image in read_source(source, split, data, recipe.legend)]
        for split in ("train", "validate")
    )
    return QuantiseData(calibration=of_images(trained), held_out=of_images(held_out), on=names_of(held_out))
