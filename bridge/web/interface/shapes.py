"""Words of JSON Schema for what is read and answered. Which fields there are is asked of whoever reads them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from bridge.web.interface.operation import Schema


class FieldsDiffer(TypeError):
    """The document tells of other fields than those that are read."""


def object_of(
    names: Iterable[str],
    fields: Mapping[str, Schema],
    *,
    needed: Collection[str] = (),
    words: str = "",
    **more: Any,
) -> Schema:
    """An object with just these fields. `names`: those of the table by which they are read.

    Errors: FieldsDiffer.
    """
    read = list(names)
    if differing := set(read) ^ set(fields):
        where = {name: "read" if name in read else "told" for name in sorted(differing)}
        raise FieldsDiffer(f"only read or only told: {where}")
    told: dict[str, Any] = {"type": "object", "properties": {name: fields[name] for name in read}}
    told["additionalProperties"] = False
    return told | _needed(needed) | ({"description": words} if words else {}) | more


def answer_of(fields: Mapping[str, Schema], *, may_miss: Collection[str] = (), words: str = "") -> Schema:
    """What is answered: all of these fields, but for those that may miss. Others may come with a later version."""
    needed = [name for name in fields if name not in may_miss]
    told: dict[str, Any] = {"type": "object", "properties": dict(fields)}
    return told | _needed(needed) | ({"description": words} if words else {})


def text(words: str = "", **more: Any) -> Schema:
    return _of("string", words, more)


def whole(words: str = "", **more: Any) -> Schema:
    return _of("integer", words, more)


def number(words: str = "", **more: Any) -> Schema:
    return _of("number", words, more)


def yes_no(words: str = "", **more: Any) -> Schema:
    return _of("boolean", words, more)


def anything(words: str = "", **more: Any) -> Schema:
    return ({"description": words} if words else {}) | more


def one_of(values: Iterable[str], words: str = "", **more: Any) -> Schema:
    return _of("string", words, {"enum": [str(value) for value in values]} | more)


def many(items: Schema, words: str = "", **more: Any) -> Schema:
    return _of("array", words, {"items": items} | more)


def mapping(values: Schema | None = None, words: str = "", **more: Any) -> Schema:
    """An object whose names are the caller's."""
    return _of("object", words, ({"additionalProperties": values} if values else {}) | more)


def moment(words: str = "", **more: Any) -> Schema:
    """A time as the bridge answers it, in UTC."""
    return _of("string", words, {"format": "date-time"} | more)


def either(*schemas: Schema, words: str = "", **more: Any) -> Schema:
    return {"anyOf": list(schemas)} | ({"description": words} if words else {}) | more


def or_null(schema: Schema) -> Schema:
    """null is as good as absent."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [*types, "null"], **more}


def text_or_number(words: str = "", **more: Any) -> Schema:
    """As Liquid prints a value: in quotes or bare."""
    return {"type": ["string", "integer"], **({"description": words} if words else {}), **more}


def _of(kind: str, words: str, more: Mapping[str, Any]) -> Schema:
    return {"type": kind, **({"description": words} if words else {}), **more}


def _needed(names: Collection[str]) -> dict[str, Any]:
    return {"required": list(names)} if names else {}
