"""The JSON Schema of a case file, for editors: from the types that read it and the plugins found."""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import DEFAULT_REF_TEMPLATE

from harness import spec
from harness.discover import Plugin, plugins
from harness.draft import HEADER, Header
from harness.families import VARIED
from harness.validation import adapter

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ABOUT = {
    "schema": "The format of this file.",
    "revision": "Raise it when the numbers are meant to change.",
    "about": "What this case is, in one sentence.",
    "source": "Where it comes from.",
    "tags": "Words to choose cases by.",
    "timeout": "A run that takes longer is stopped.",
    "memory_limit": "A run that takes more is stopped.",
    "quarantine": "A failure that an issue follows up; until a date it does not fail the night.",
    "model": "What is trained.",
    "config": "How it is trained.",
    "backends": "What computes it.",
    "expect": "The checks that must pass, by name.",
    "expect_on": "Checks for one backend, added to those of expect or in place of them.",
    "catches": "The faults that this case must notice, or all.",
    "extends": "A case file, relative to this one, that says what this one does not.",
    "matrix": "One case for each choice: paths such as config.batch, each with a list of values.",
    "abstract": "Whether this file is only there to be extended.",
}


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12, of a case file.

    A file that extends another one, or is abstract, may lack anything; every other one must be complete.
    """
    definitions: dict[str, Any] = {}
    properties = _properties(definitions)
    whole = {
        "type": "object",
        "properties": {key: {**properties[key], "description": text} for key, text in _ABOUT.items()},
        "additionalProperties": False,
        "required": ["schema", "about", "model", "config", "backends", "expect"],
    }
    definitions = {"case": whole, **definitions}
    unfinished = _renamed({name: _loose(value) for name, value in definitions.items()})
    return {
        "$schema": DIALECT,
        "title": "A case of training-harness",
        "type": "object",
        "if": {"anyOf": [{"required": ["extends"]}, {"required": ["matrix"]}, _abstract()]},
        "then": {"$ref": "#/$defs/part-case"},
        "else": {"$ref": "#/$defs/case"},
        "$defs": definitions | unfinished,
    }


def _abstract() -> dict[str, Any]:
    return {"required": ["abstract"], "properties": {"abstract": {"const": True}}}


def _properties(definitions: dict[str, Any]) -> dict[str, Any]:
    header = _of(Header, definitions)["properties"]
    checks = {name: _check(name, plugin, definitions) for name, plugin in plugins("checks").items()}
    expect = {"type": "object", "properties": checks, "additionalProperties": False, "minProperties": 1}
    backends, faults = list(plugins("backends")), list(plugins("faults"))
    fault = {"enum": faults} if faults else False
    return {key: header[key] for key in HEADER} | {
        "schema": {"const": spec.Case.SCHEMA},
        "model": _of(spec.Model, definitions),
        "config": _of(spec.Config, definitions),
        "backends": {"type": "array", "items": {"enum": backends}, "minItems": 1, "uniqueItems": True},
        "expect": expect,
        "expect_on": {
            "type": "object",
            "propertyNames": {"enum": backends},
            "additionalProperties": {"anyOf": [expect, {"type": "null"}]},  # null takes an inherited one away
        },
        "catches": {"anyOf": [{"const": "all"}, {"type": "array", "items": fault}]},
        "extends": {"type": "string", "minLength": 1},
        "abstract": {"type": "boolean"},
        "matrix": {
            "type": "object",
            "propertyNames": {"pattern": rf"^({'|'.join(VARIED)})(\..+)?$"},
            "additionalProperties": {"type": "array", "minItems": 1},
            "minProperties": 1,
        },
    }


def _check(name: str, plugin: Plugin, definitions: dict[str, Any]) -> dict[str, Any]:
    """A check's parameters; anything for one that cannot be loaded."""
    if plugin.error:
        return {"description": f"cannot be loaded: {plugin.error}"}
    found = _of(plugin.value, definitions)
    if plugin.value.entire:
        found = found["properties"][plugin.value.entire]
    definitions[f"check-{name}"] = {**found, "description": plugin.about}
    return {"$ref": f"#/$defs/check-{name}"}


def _of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; what it refers to goes into the definitions, under the module's name too.

    Two plugins may both have a class `Bounds`.
    """
    prefix = kind.__module__.rpartition(".")[2] if isinstance(kind, type) else "spec"
    made = adapter(kind).json_schema(
        ref_template=DEFAULT_REF_TEMPLATE.replace("{model}", f"{prefix}-{{model}}")
    )
    made = _closed(made)
    definitions.update({f"{prefix}-{name}": value for name, value in made.get("$defs", {}).items()})
    [item] = made["prefixItems"]
    name = str(item.get("$ref", "")).rpartition("/")[2]
    found: dict[str, Any] = definitions[name] if name else item
    return found


def _closed(value: Any) -> Any:
    """A schema in which no mapping of named properties takes others; old pydantic leaves dataclasses open."""
    if isinstance(value, list):
        return [_closed(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    closed = {key: _closed(item) for key, item in value.items()}
    return (
        {"additionalProperties": False, **closed}
        if closed.get("type") == "object" and "properties" in closed
        else closed
    )


def _loose(value: Any) -> Any:
    """A schema in which nothing is required, and null takes an inherited expectation away."""
    if isinstance(value, list):
        return [_loose(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    # A parameter may be named `required` too; the keyword holds a list.
    kept = {
        key: item for key, item in value.items() if key != "minProperties" and not _is_required(key, item)
    }
    loose = {key: _loose(item) for key, item in kept.items()}
    if "oneOf" in loose:
        # Without required keys, {} is any of the kinds at once.
        loose["anyOf"] = loose.pop("oneOf")
    if str(loose.get("$ref", "")).startswith("#/$defs/check-"):
        return {"anyOf": [loose, {"type": "null"}]}
    return loose


def _is_required(key: str, item: Any) -> bool:
    return key == "required" and isinstance(item, list)


def _renamed(definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The definitions under other names, referring to each other by those."""
    return {f"part-{name}": _refer(value) for name, value in definitions.items()}


def _refer(value: Any) -> Any:
    if isinstance(value, list):
        return [_refer(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: item.replace("#/$defs/", "#/$defs/part-") if key == "$ref" else _refer(item)
        for key, item in value.items()
    }
