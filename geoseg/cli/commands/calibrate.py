"""``geoseg models calibrate``: labelled rows in, a temperature in the model's card out."""

from __future__ import annotations

from pathlib import Path


def run(model: str, recipe_file: Path, data: Path, out: Path | None, *, as_json: bool) -> None:
    """Fit the temperature of a model on the validation split of a recipe and write the model with it.

    Raises:
        UsageError: a bundled model and no ``out``, a recipe of other classes or bands, or without labels, or ``out`` is
            the model itself.
        OutputError: the file exists.
    """
    from geoseg.data.labelled import read_source
    from geoseg.errors import UsageError
    from geoseg.io.files.targets import keep_existing, keep_inputs
    from geoseg.io.weights.model_file import read_model
    from geoseg.models.bundled import BUNDLED, resolve
    from geoseg.training.calibrate import AFTER, BEFORE, calibrate_file, check_recipe
    from geoseg.training.recipe import read_recipe

    if out is None and model in BUNDLED:
        raise UsageError(f"{model}: a bundled model stays as it is. Pass --out for the calibrated file.")
    path, sha256 = resolve(model)
    target = path.with_name(f"{path.stem}_calibrated.safetensors") if out is None else out
    keep_inputs((path, recipe_file), target)
    keep_existing(target, overwrite=False, cure="Remove it or choose another --out.")
    recipe, card = read_recipe(recipe_file), read_model(path, sha256)[1]
    check_recipe(recipe_file, recipe, card)
    images = [image for source in recipe.sources for image in read_source(source, "validate", data, recipe.legend)]
    card = calibrate_file(path, images, target)
    if as_json:
        print(card.model_dump_json())
        return
    errors = {score.metric: score for score in card.scores}
    before, after = errors[BEFORE], errors[AFTER]
    print(f"temperature {card.temperature:g}, fitted on {after.on}")
    print(f"expected calibration error {before.value:.4f} at temperature 1, {after.value:.4f} now")
    print(target)
