"""What the document says of one operation: its parameters, its body, its answers, and requests that work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.errors import Answerable

Schema = Mapping[str, Any]

JSON = "application/json"
PROBLEM = "application/problem+json"
FORM = "application/x-www-form-urlencoded"
HTML = "text/html"


@dataclass(frozen=True)
class Parameter:
    """`where`: path, query or header. `sample`: a value that works, which a path needs."""

    name: str
    where: str
    words: str
    schema: Schema
    is_needed: bool = False
    sample: str = ""


@dataclass(frozen=True)
class Answer:
    """`status` "default": any that is not told. `schema` None: no body. `headers`: beside X-Request-Id."""

    status: int | str
    words: str
    schema: Schema | None = None
    headers: Sequence[str] = ()
    media: str = JSON

    @classmethod
    def of(cls, error: type[Answerable], schema: str = "Problem", words: str = "") -> Answer:
        """A refusal. `words`: when it comes, where the title does not say it. `schema`: the name of its form."""
        told = f"{error.title}: {words}" if words else error.title
        return cls(error.status, told, ref(schema), HEADERS_OF.get(error.status, ()), PROBLEM)


HEADERS_OF = {401: ("WWW-Authenticate",), 503: ("Retry-After",)}  # of a refusal


@dataclass(frozen=True)
class Example:
    """A request that can be sent as it stands; a test does. `status`: how it is answered."""

    words: str
    status: int
    body: Any = None
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """`name`: its operationId. `words`: one line. `more`: what else is to know, in Markdown.

    `answers` hold what is particular; what every operation has of its kind comes by itself. `body_may_miss`: no body
    is as good as an empty object.
    """

    method: str
    path: str
    name: str
    words: str
    answers: Sequence[Answer]
    examples: Sequence[Example]
    more: str = ""
    parameters: Sequence[Parameter] = ()
    body: Schema | None = None
    body_may_miss: bool = False
    media: str = JSON
    needs_database: bool = True

    def sample_path(self, values: Mapping[str, str] | None = None) -> str:
        """The path with the values of an example, or else with the parameters' own."""
        path = self.path
        for one in self.parameters:
            if one.where == "path":
                path = path.replace("{" + one.name + "}", (values or {}).get(one.name, one.sample))
        return path


@dataclass(frozen=True)
class Group:
    """Operations of one kind, and the forms that they share, by name."""

    name: str
    words: str
    operations: Sequence[Operation]
    schemas: Mapping[str, Schema] = field(default_factory=dict)


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
