"""The document as it is shown to people: operations in groups, fields in rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

_WORDS_OF = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "object"}
_MOST_CHOICES = 24  # that are told one by one


@dataclass(frozen=True)
class Row:
    """A field or a parameter."""

    name: str
    is_needed: bool
    kind: Markup
    words: Markup
    where: str = ""


@dataclass(frozen=True)
class Form:
    """What a body or an answer looks like."""

    name: str
    words: Markup
    rows: Sequence[Row]


@dataclass(frozen=True)
class ToldAnswer:
    status: str
    words: Markup
    forms: Markup


@dataclass(frozen=True)
class ToldOperation:
    """`body`: its kind in words. `forms`: those that stand in it by themselves. `samples`: words and lines."""

    anchor: str
    method: str
    path: str
    words: Markup
    more: Markup
    scopes: Sequence[str]
    parameters: Sequence[Row]
    body: Markup
    forms: Sequence[Form]
    samples: Sequence[tuple[Markup, str]]
    answers: Sequence[ToldAnswer]


@dataclass(frozen=True)
class ToldGroup:
    anchor: str
    name: str
    words: Markup
    operations: Sequence[ToldOperation]


def page_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's template shows."""
    schemas = document["components"]["schemas"]
    groups = [
        ToldGroup(
            _anchor(tag["name"]),
            tag["name"],
            _marked(tag["description"]),
            [*_operations(document, tag["name"])],
        )
        for tag in document["tags"]
    ]
    forms = [_form(name, schema) for name, schema in sorted(schemas.items())]
    return {
        "title": document["info"]["title"],
        "version": document["info"]["version"],
        "words": [_marked(part) for part in document["info"]["description"].split("\n\n")],
        "groups": groups,
        "forms": forms,
    }


def _operations(document: Mapping[str, Any], group: str) -> Iterator[ToldOperation]:
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            if told["tags"] != [group]:
                continue
            body = _body(told)
            yield ToldOperation(
                anchor=told["operationId"],
                method=method.upper(),
                path=path,
                words=_marked(told["summary"]),
                more=_marked(told.get("description", "")),
                scopes=sorted({scope for one in told["security"] for scope in one.get("bearer", ())}),
                parameters=[_parameter(one) for one in told["parameters"]],
                body=_kind(body) if body else Markup(""),
                forms=[_form(name, schemas[name]) for name in _named(body)] if body else [],
                samples=[(_marked(one["label"]), one["source"]) for one in told["x-codeSamples"]],
                answers=[_answer(status, one) for status, one in told["responses"].items()],
            )


def _body(told: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for content in told.get("requestBody", {}).get("content", {}).values():
        found: Mapping[str, Any] = content["schema"]
        return found
    return None


def _parameter(told: Mapping[str, Any]) -> Row:
    return Row(
        told["name"],
        told.get("required", False),
        _kind(told["schema"]),
        _words(told["schema"], told["description"]),
        told["in"],
    )


def _answer(status: str, told: Mapping[str, Any]) -> ToldAnswer:
    kinds = {media: _kind(one["schema"]) for media, one in told.get("content", {}).items()}
    forms = Markup("<br>").join(kinds.values())
    return ToldAnswer("other" if status == "default" else status, _marked(told["description"]), forms)


def _form(name: str, schema: Mapping[str, Any]) -> Form:
    return Form(name, _marked(schema.get("description", "")), list(_rows(schema)))


def _rows(schema: Mapping[str, Any], within: str = "") -> Iterator[Row]:
    """A row for each field; those of an object in it follow it."""
    needed = schema.get("required", ())
    for name, its in schema.get("properties", {}).items():
        yield Row(within + name, name in needed, _kind(its), _words(its, its.get("description", "")))
        for inner in _objects_in(its):
            yield from _rows(inner, f"{within}{name}{'[]' if 'items' in its else ''}.")


def _objects_in(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for one in (schema, schema.get("items", {}), *schema.get("anyOf", ())):
        if "properties" in one:
            yield one


def _kind(schema: Mapping[str, Any]) -> Markup:
    """What a value is, in words; what has a name of its own is a link to it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#{0}">{0}</a>').format(name)
    if "anyOf" in schema:
        kinds = [_kind(one) for one in schema["anyOf"] if one != {"type": "null"}]
        return Markup(" or ").join(dict.fromkeys(kinds))
    told = schema.get("type", [])
    types = [one for one in ([told] if isinstance(told, str) else told) if one != "null"]
    if types == ["array"]:
        return Markup("list of {}").format(_kind(schema["items"]))
    return escape(" or ".join(_WORDS_OF.get(one, one) for one in types) or "anything")


def _words(schema: Mapping[str, Any], words: str) -> Markup:
    """With the choices and the limits."""
    return Markup(". ").join(
        part for part in (_marked(words.rstrip(".")), *map(_marked, _limits(schema))) if part
    )


def _limits(schema: Mapping[str, Any]) -> Iterator[str]:
    choices = [
        one for one in schema.get("enum", ()) if one not in (None, "") and not isinstance(one, bool | int)
    ]
    if choices and len(choices) <= _MOST_CHOICES:
        yield ", ".join(f"`{one}`" for one in choices)
    if "maxLength" in schema:
        yield f"At most {schema['maxLength']:,} characters"
    if "minimum" in schema and "maximum" in schema:
        yield f"From {schema['minimum']:,} to {schema['maximum']:,}"
    for inner in (schema, *schema.get("anyOf", ())):
        if "maxItems" in inner:
            yield f"At most {inner['maxItems']:,}"


def _named(schema: Mapping[str, Any]) -> list[str]:
    """The forms of which a body is one."""
    if "$ref" in schema:
        return [schema["$ref"].rpartition("/")[2]]
    return list(dict.fromkeys(name for one in schema.get("anyOf", ()) for name in _named(one)))


def _marked(text: str) -> Markup:
    """Plain text with `code` in it."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(its) if number % 2 else its for number, its in enumerate(parts)
    )


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z]+", "-", name.lower())
