"""Several kinds under one key, `model: {decoder: {...}}` or `model: {mlp: {...}}`, as types for pydantic.

Importing this module does not import pydantic.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_args, get_type_hints

from harness.units import got

MARK = "\0"
"""Begins the part that `ByKey` adds to the location of an error. No key of a case file can hold it."""


@dataclass(frozen=True)
class ByKey:
    """Marks a union of dataclasses that are told apart by the name of their first field.

    `{decoder: {...}}` is the class whose first field is `decoder`. Adding a kind is adding a class.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """A union tagged by the first field's name; the tag stands in locations as `MARK` and that name."""
        from pydantic_core import core_schema  # noqa: PLC0415 - only where case files are validated

        names = kinds(source)
        choices = {MARK + name: handler.generate_schema(member) for name, member in names.items()}
        # A choice that only complains: a function before the union would cost the JSON mode, in which lists
        # are tuples, and what a discriminator raises is no validation error.
        choices[MARK] = core_schema.no_info_plain_validator_function(lambda value: _complain(value, names))
        return core_schema.tagged_union_schema(choices, lambda value: MARK + _kind_of(value, names))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        """One of the classes."""
        choices = {tag: choice for tag, choice in schema["choices"].items() if tag != MARK}
        return handler(schema | {"choices": choices})


@dataclass(frozen=True)
class ByName:
    """Marks a dataclass whose first field is a literal: `constant`, or with others `{cosine: {...}}`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """The plain mapping of all fields, made from either way of writing it."""
        from pydantic_core import core_schema  # noqa: PLC0415 - only where case files are validated

        first, names = named(source)
        return core_schema.no_info_before_validator_function(
            lambda value: _spread(value, first, names), handler(source)
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """One of the names, or a mapping of one of them to the other fields."""
        whole = dict(handler.resolve_ref_schema(handler(schema)))
        properties = dict(whole["properties"])
        names = properties.pop(next(iter(properties)))["enum"]
        rest = {"anyOf": [whole | {"properties": properties}, {"type": "null"}]}
        return {
            "anyOf": [
                {"enum": names},
                {
                    "type": "object",
                    "properties": dict.fromkeys(names, rest),
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ]
        }


@dataclass(frozen=True)
class OrTrue:
    """Marks a union of bool and a dataclass: `true`, or a mapping of the fields."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Told apart before anything is read, so that a mistake is told of one of the two only."""
        from pydantic_core import core_schema  # noqa: PLC0415 - only where case files are validated

        ((first, member),) = kinds(source).items()
        choices = {MARK: core_schema.bool_schema(strict=True), MARK + first: handler.generate_schema(member)}
        return core_schema.tagged_union_schema(
            choices, lambda value: MARK if isinstance(value, bool) else MARK + first
        )


def kinds(union: Any) -> dict[str, type]:
    """The dataclasses of a union by the name of their first field."""
    members = get_args(union) or (union,)
    return {
        fields(member)[0].name: member
        for member in members
        if isinstance(member, type) and is_dataclass(member)
    }


def named(source: type) -> tuple[str, tuple[str, ...]]:
    """The first field of a `ByName` dataclass, and the names that it may hold."""
    first = fields(source)[0].name
    return first, get_args(get_type_hints(source)[first])


def _kind_of(value: object, names: Iterable[str]) -> str:
    found = [name for name in names if name in value] if isinstance(value, Mapping) else []
    return found[0] if len(found) == 1 else ""


def _complain(value: object, names: Iterable[str]) -> None:
    if not isinstance(value, Mapping):
        raise _problem(f"expected a mapping of one of {', '.join(names)}, got {got(value)}")
    found = [name for name in names if name in value]
    if found:
        raise _problem(f"expected one kind, got {' and '.join(found)}; keep one")
    raise _unknown(next(iter(value), None), names)


def _spread(value: object, first: str, names: Iterable[str]) -> dict[str, Any]:
    kind, rest = value, None
    if isinstance(value, Mapping) and len(value) == 1:
        kind, rest = next(iter(value.items()))
    if not isinstance(kind, str):
        raise _problem(f"expected one of {', '.join(names)}, or a mapping of one of them, got {got(value)}")
    if kind not in names:
        raise _unknown(kind, names)
    if not isinstance(rest, Mapping | None):
        raise _problem(f"expected a mapping under {kind}, got {got(rest)}")
    if first in (rest or {}):
        raise _problem(f"'{first}' is written as the key, not under it")
    return {first: kind, **(rest or {})}


def _unknown(key: Any, names: Iterable[str]) -> Exception:
    known = ", ".join(names)
    text = (
        "expected one of {known}, got an empty mapping"
        if key is None
        else "unknown kind '{key}'; known: {known}"
    )
    return _problem(text, key=key, known=known)


def _problem(text: str, **context: Any) -> Exception:
    from pydantic_core import PydanticCustomError  # noqa: PLC0415 - only where case files are validated

    if not context:
        context, text = {"text": text}, "{text}"
    return PydanticCustomError("kind", text, context)
