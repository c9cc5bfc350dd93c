"""What the STAC extensions that geoseg declares demand, as JSON Schemas of our own: items are validated offline.

pystac brings the schemas of the core; those of extensions it would fetch. These hold the rules of each extension's text
that concern what geoseg writes: required fields, types, patterns, and what must stand together.
"""

from __future__ import annotations

from typing import Any

import pystac
from pystac.validation import RegisteredValidator
from pystac.validation.stac_validator import JsonSchemaSTACValidator

BASE = "https://stac-extensions.github.io"
TEXT = {"type": "string", "minLength": 1}
MULTIHASH = {"type": "string", "pattern": "^1220[0-9a-f]{64}$"}
TASKS = {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": ["semantic-segmentation"]}}
TYPES = {"enum": ["uint8", "uint16", "int16", "float32", "float64"]}


def schema(uri: str, **rules: Any) -> dict[str, Any]:
    return {"$schema": "http://json-schema.org/draft-07/schema#", "$id": uri, "type": "object", **rules}


def of_properties(uri: str, prefix: str, fields: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    """An item's properties: known fields of a prefix, no others."""
    rule = {
        "required": required or [],
        "properties": fields,
        "patternProperties": {f"^(?!{prefix}:)": {}},
        "additionalProperties": False,
    }
    return schema(uri, properties={"properties": rule})


def tensor(where: str) -> dict[str, Any]:
    shape = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": -1}}
    order = {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "string", "pattern": "^[a-z-_]+$"}}
    inner = {"required": ["shape", "dim_order", "data_type"], "properties": {"shape": shape, "dim_order": order}}
    inner["properties"] |= {"data_type": TYPES}
    return {"type": "object", "required": ["name", where], "properties": {"name": TEXT, where: inner}}


def classes(name: str) -> dict[str, Any]:
    entry = {
        "type": "object",
        "required": ["value", "name"],
        "properties": {
            "value": {"type": "integer"},
            "name": {"type": "string", "pattern": "^[0-9A-Za-z-_]+$"},
            "title": TEXT,
            "color_hint": {"type": "string", "pattern": "^([0-9A-F]{6})$"},
            "nodata": {"type": "boolean"},
        },
        "additionalProperties": False,
    }
    return {name: {"type": "array", "minItems": 1, "items": entry}}


def of_assets(uri: str, fields: dict[str, Any], prefix: str) -> dict[str, Any]:
    rule = {"properties": fields, "patternProperties": {f"^(?!{prefix}:)": {}}, "additionalProperties": False}
    return schema(uri, properties={"assets": {"type": "object", "additionalProperties": rule}})


def mlm(uri: str) -> dict[str, Any]:
    """MLM 1.4: the fields of a model, one asset that is it, and ``bands`` that its input's names refer to."""
    has_role = {"required": ["roles"], "properties": {"roles": {"contains": {"const": "mlm:model"}}}}
    typed = {"required": ["mlm:artifact_type"], "properties": {"mlm:artifact_type": TEXT}}
    source = tensor("input")
    source["properties"]["bands"] = {"type": "array", "items": TEXT}
    scaling = {"required": ["type", "mean", "stddev"], "properties": {"type": {"const": "z-score"}}}
    source["properties"]["value_scaling"] = {"type": "array", "minItems": 1, "items": scaling}
    result = tensor("result")
    result["required"].append("tasks")
    result["properties"] |= {"tasks": TASKS, **classes("classification:classes")}
    fields: dict[str, Any] = {
        "mlm:name": {"type": "string", "pattern": r"^[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]$"},
        "mlm:architecture": TEXT,
        "mlm:framework": {"enum": ["PyTorch"]},
        "mlm:tasks": TASKS,
        "mlm:input": {"type": "array", "minItems": 1, "items": source},
        "mlm:output": {"type": "array", "minItems": 1, "items": result},
    }
    found = of_properties(uri, "mlm", fields, ["mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"])
    found["properties"]["properties"]["required"].append("bands")
    found["properties"]["assets"] = {
        "not": {"additionalProperties": {"not": has_role}},
        "additionalProperties": {"if": has_role, "then": typed, "else": {"not": typed}},
    }
    return found


def rules() -> dict[str, dict[str, Any]]:
    """Schemas by the address that items declare."""
    uri = {name: f"{BASE}/{name}/schema.json" for name in NAMES}
    numbers = {"type": "array", "items": {"type": "number"}}
    projection = {
        "proj:code": {"type": ["string", "null"], "pattern": "^[A-Z]+:[0-9A-Z]+$"},
        "proj:wkt2": {"type": ["string", "null"]},
        "proj:shape": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "integer"}},
        "proj:transform": numbers | {"minItems": 6, "maxItems": 9},
        "proj:bbox": numbers | {"minItems": 4, "maxItems": 4},
    }
    processing = {
        "processing:level": {"type": "string", "pattern": "^L[0-4][A-Z]?$"},
        "processing:datetime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
        "processing:lineage": TEXT,
        "processing:software": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    raster = {
        "raster:sampling": {"enum": ["area", "point"]},
        "raster:spatial_resolution": {"type": "number", "exclusiveMinimum": 0},
        "raster:scale": {"type": "number"},
    }
    file = {"file:size": {"type": "integer", "minimum": 0}, "file:checksum": MULTIHASH}
    made = (
        of_assets(uri[NAMES[0]], classes("classification:classes"), "classification"),
        of_assets(uri[NAMES[1]], file, "file"),
        of_properties(uri[NAMES[2]], "processing", processing, ["processing:software"]),
        of_properties(uri[NAMES[3]], "proj", projection, ["proj:code"]),
        of_assets(uri[NAMES[4]], raster, "raster"),
        mlm(uri[NAMES[5]]),
    )
    return {one["$id"]: one for one in made}


NAMES = (
    "classification/v2.0.0",
    "file/v2.1.0",
    "processing/v1.2.0",
    "projection/v2.0.0",
    "raster/v2.0.0",
    "mlm/v1.4.0",
)


def validate(root: pystac.STACObject) -> int:
    """Validate an object and everything below it; how many objects that were.

    Raises:
        pystac.STACValidationError: one is not valid.
    """
    validator = JsonSchemaSTACValidator()
    validator.schema_cache |= rules()
    before = RegisteredValidator.get_validator()
    RegisteredValidator.set_validator(validator)
    try:
        if isinstance(root, pystac.Catalog):
            root.validate()
            return 1 + sum(validate(child) for child in [*root.get_children(), *root.get_items()])
        root.validate()
        return 1
    finally:
        RegisteredValidator.set_validator(before)
