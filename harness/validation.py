"""Nodes of a document into frozen dataclasses; every mistake with its place, the expected and the got.

Types are read by pydantic, strictly: a text or a truth value is no number, an unknown key is a mistake.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from harness.discover import suggest
from harness.documents import Mistake, Node, plain
from harness.kinds import MARK, kinds
from harness.units import got

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)
_MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_WANTED = {
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "dataclass_type", "dataclass_exact_type"), "a mapping"),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), "a date such as 2026-12-31"),
    "finite_number": "a finite number",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
}
_LIMITS = {"greater_than": ("gt", ">"), "greater_than_equal": ("ge", ">="),
           "less_than": ("lt", "<"), "less_than_equal": ("le", "<=")}  # fmt: skip

Location = tuple[int | str, ...]
T = TypeVar("T")


@cache
def adapter(kind: Any) -> TypeAdapter[tuple[Any]]:
    """The reader of a type. A tuple of one, because only what has no settings of its own passes them on."""
    return TypeAdapter(tuple[kind], config=STRICT)


def validate(
    kind: Any, node: Node, key: str, *, entire: str = "", partial: bool = False
) -> tuple[Any, list[Mistake]]:
    """The value of a node as an instance of `kind`.

    Args:
        kind: a dataclass, or any type that pydantic reads.
        node: what the file says.
        key: the path of the node in the file, as messages show it.
        entire: the field of `kind` that the whole node stands for, if it is written so.
        partial: forgive what is missing; for a file that others complete.

    Returns:
        The instance and no mistake, or None and all mistakes (none, if a partial one lacks something only).
    """
    value = {entire: plain(node)} if entire else plain(node)
    try:
        # As JSON, because there a list may become a tuple although everything else is read strictly.
        return adapter(kind).validate_json(json.dumps([value]))[0], []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    except Exception as error:  # noqa: BLE001 - a plug-in's own validation may break; that must hurt nothing else
        return None, [Mistake(node.start, f"{key}: cannot be validated: {type(error).__name__}: {error}")]
    kept = [error for error in errors if not (partial and error["type"] in _MISSING)]
    return None, [_mistake(kind, node, key, error, skip=2 if entire else 1) for error in kept]


def _mistake(kind: Any, node: Node, key: str, error: ErrorDetails, skip: int) -> Mistake:
    context = error.get("ctx", {})
    location = tuple(part for part in error["loc"][skip:] if part != "[key]")
    at, path = _follow(node, key, location)
    if error["type"] == "kind" and context.get("key"):
        return _unknown_kind(at, path, context["key"], tuple(context["known"].split(", ")))
    if error["type"] in _UNKNOWN:
        known = _fields(kind, error["loc"][1:-1])
        return Mistake(at.start, f"{path}: unknown key{suggest(str(location[-1]), known) if known else ''}")
    return Mistake(at.start, f"{path}: {_say(error, context)}")


def _unknown_kind(node: Node, path: str, name: str, known: tuple[str, ...]) -> Mistake:
    if name in node.mapping:
        return Mistake(node.mapping[name].start, f"{path}.{name}: unknown kind{suggest(name, known)}")
    return Mistake(node.start, f"{path}: unknown kind '{name}'{suggest(name, known)}")


def _say(error: ErrorDetails, context: Mapping[str, Any]) -> str:
    name, found = error["type"], got(error["input"])
    if name in _MISSING:
        return "missing"
    if name in _WANTED:
        quote = (
            "; put it in quotes" if name == "string_type" and isinstance(error["input"], int | float) else ""
        )
        return f"expected {_WANTED[name]}, got {found}{quote}"
    if name in _LIMITS:
        limit, sign = _LIMITS[name]
        return f"expected {sign} {context[limit]:.4g}, got {found}"
    if name == "literal_error":
        return f"expected {context['expected']}, got {found}"
    if name in ("too_short", "too_long"):
        limit, word = ("min_length", "least") if name == "too_short" else ("max_length", "most")
        return f"expected at {word} {context[limit]} items, got {context['actual_length']}"
    return str(context["error"]) if name == "value_error" else error["msg"]


def _follow(node: Node, key: str, location: Location) -> tuple[Node, str]:
    """The node at a location, or the nearest above it, and the path as it stands in the file."""
    for part in location:
        if isinstance(part, str) and part.startswith(MARK):
            continue
        below = _child(node, part)
        if below is None and len(node.mapping) == 1:  # a `ByName` dataclass is written one level deeper
            name, only = next(iter(node.mapping.items()))
            if _child(only, part) is not None:
                key, below = f"{key}.{name}", _child(only, part)
        key = f"{key}[{part}]" if isinstance(part, int) else f"{key}.{part}" if key else part
        node = below or node
    return node, key


def _child(node: Node, part: int | str) -> Node | None:
    if isinstance(node.value, list):
        return node.value[part] if isinstance(part, int) and part < len(node.value) else None
    return node.mapping.get(str(part))


def _fields(kind: Any, location: Location) -> tuple[str, ...]:
    """The keys that a type knows at a location."""
    try:
        for part in location:
            kind = _below(_bare(kind), part)
        return tuple(field.name for field in fields(_bare(kind)))
    except (
        IndexError,
        KeyError,
        NameError,
        TypeError,
    ):  # a plug-in's annotations may not resolve; then nothing is suggested
        return ()


def _below(kind: Any, part: int | str) -> Any:
    if isinstance(part, str) and part.startswith(MARK):
        return kinds(kind)[part.removeprefix(MARK)]
    if is_dataclass(kind):
        return get_type_hints(kind, include_extras=True)[str(part)]
    arguments = [argument for argument in get_args(kind) if argument is not Ellipsis]
    return arguments[int(part) if get_origin(kind) is tuple and len(arguments) > 1 else -1]


def _bare(kind: Any) -> Any:
    """A type without `Annotated` and without `| None`."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        members = [member for member in get_args(kind) if member is not NoneType]
        return _bare(members[0]) if len(members) == 1 else kind
    return kind
