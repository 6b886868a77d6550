"""A Braze body as a tree of our own: what a text prints, asks, sets and stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias


@dataclass(frozen=True)
class Literal:
    """A value as it stands: text, number, true, false, or None for nil."""

    value: str | int | float | bool | None


@dataclass(frozen=True)
class Known:
    """What Braze knows: `${first_name}` is ("", "first_name"), `custom_attribute.${x}` ("custom_attribute", "x").

    `path`: what stands behind it, ".city" or "[0].name".
    """

    kind: str
    name: str
    path: str = ""

    @property
    def written(self) -> str:
        """As it stands in Braze, without the outer braces."""
        if self.kind == "connected_content":
            return self.name + self.path
        return f"{self.kind}{'.' if self.kind else ''}${{{self.name}}}{self.path}"


@dataclass(frozen=True)
class Local:
    """A name that the body sets itself."""

    name: str


@dataclass(frozen=True)
class Part:
    """`base.key` or `base[key]`."""

    base: Expression
    key: Expression


@dataclass(frozen=True)
class Filtered:
    """`base | name: args`."""

    base: Expression
    name: str
    args: tuple[Expression, ...] = ()
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Both:
    """`left operator right`: ==, !=, <, >, <=, >=, contains, and, or."""

    left: Expression
    operator: str
    right: Expression


@dataclass(frozen=True)
class Not:
    operand: Expression


@dataclass(frozen=True)
class IsBlank:
    """`operand == blank`, and likewise empty and nil."""

    operand: Expression


@dataclass(frozen=True)
class Span:
    """`(first..last)`."""

    first: Expression
    last: Expression


Expression: TypeAlias = Literal | Known | Local | Part | Filtered | Both | Not | IsBlank | Span


@dataclass(frozen=True)
class Text:
    text: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Output:
    value: Expression
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Set:
    name: str
    value: Expression
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class SetText:
    """`{% capture name %}…{% endcapture %}`."""

    name: str
    nodes: Nodes
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class If:
    """Conditions with what they print, and what is printed if none holds."""

    branches: tuple[tuple[Expression, Nodes], ...]
    otherwise: Nodes = ()
    line: int = field(default=0, compare=False)

    @property
    def ways(self) -> tuple[Nodes, ...]:
        return (*(nodes for _, nodes in self.branches), self.otherwise)


@dataclass(frozen=True)
class For:
    name: str
    items: Expression
    nodes: Nodes
    otherwise: Nodes = ()
    offset: Expression | None = None
    limit: Expression | None = None
    is_reversed: bool = False
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Abort:
    reason: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Comment:
    text: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class NoEqual:
    """What cannot be said here: `written` as it stood, and why in words; `is_done`: nobody has to mind."""

    written: str
    words: str
    is_done: bool = False
    line: int = field(default=0, compare=False)


Node: TypeAlias = Text | Output | Set | SetText | If | For | Abort | Comment | NoEqual
Nodes: TypeAlias = tuple[Node, ...]


def inside(node: Node) -> tuple[Nodes, ...]:
    """The lists of nodes within a node."""
    if isinstance(node, If):
        return node.ways
    if isinstance(node, For):
        return (node.nodes, node.otherwise)
    return (node.nodes,) if isinstance(node, SetText) else ()


def expressions_of(node: Node) -> tuple[Expression, ...]:
    """The expressions of a node itself."""
    if isinstance(node, (Output, Set)):
        return (node.value,)
    if isinstance(node, If):
        return tuple(condition for condition, _ in node.branches)
    if isinstance(node, For):
        return tuple(value for value in (node.items, node.offset, node.limit) if value is not None)
    return ()


def walk(nodes: Nodes) -> Iterator[Node]:
    """Every node, in the order of the text."""
    for node in nodes:
        yield node
        for within in inside(node):
            yield from walk(within)


def parts_of(value: Expression) -> tuple[Expression, ...]:
    """The expressions that an expression is made of."""
    if isinstance(value, Part):
        return (value.base, value.key)
    if isinstance(value, Filtered):
        return (value.base, *value.args)
    if isinstance(value, Both):
        return (value.left, value.right)
    if isinstance(value, (Not, IsBlank)):
        return (value.operand,)
    return (value.first, value.last) if isinstance(value, Span) else ()


def every(value: Expression) -> Iterator[Expression]:
    """An expression and all that it is made of."""
    yield value
    for part in parts_of(value):
        yield from every(part)


def changed(value: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """The same expression with `change` applied to each part, the innermost first."""

    def of(part: Expression) -> Expression:
        return changed(part, change)

    if isinstance(value, Part):
        value = replace(value, base=of(value.base), key=of(value.key))
    elif isinstance(value, Filtered):
        value = replace(value, base=of(value.base), args=tuple(map(of, value.args)))
    elif isinstance(value, Both):
        value = replace(value, left=of(value.left), right=of(value.right))
    elif isinstance(value, (Not, IsBlank)):
        value = replace(value, operand=of(value.operand))
    elif isinstance(value, Span):
        value = replace(value, first=of(value.first), last=of(value.last))
    return change(value)


def rebuilt(
    nodes: Nodes, change: Callable[[Node], Nodes], value: Callable[[Expression], Expression]
) -> Nodes:
    """The same nodes, each as `change` makes it, with each expression as `value` makes it."""
    out: list[Node] = []
    for node in nodes:
        new: Node = node
        if isinstance(node, (Output, Set)):
            new = replace(node, value=value(node.value))
        elif isinstance(node, SetText):
            new = replace(node, nodes=rebuilt(node.nodes, change, value))
        elif isinstance(node, If):
            branches = tuple((value(c), rebuilt(within, change, value)) for c, within in node.branches)
            new = replace(node, branches=branches, otherwise=rebuilt(node.otherwise, change, value))
        elif isinstance(node, For):
            new = replace(
                node,
                items=value(node.items),
                nodes=rebuilt(node.nodes, change, value),
                otherwise=rebuilt(node.otherwise, change, value),
                offset=value(node.offset) if node.offset is not None else None,
                limit=value(node.limit) if node.limit is not None else None,
            )
        out += change(new)
    return tuple(out)


@dataclass
class Uses:
    """How often each local name is read, and how often it is given a value."""

    reads: dict[str, int] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)

    def add(self, nodes: Nodes) -> Uses:
        for node in walk(nodes):
            if isinstance(node, (Set, SetText)):
                self.writes[node.name] = self.writes.get(node.name, 0) + 1
            elif isinstance(node, For):
                self.writes[node.name] = self.writes.get(node.name, 0) + 2  # never a constant
            for value in expressions_of(node):
                self.read(value)
        return self

    def read(self, value: Expression) -> None:
        for part in every(value):
            if isinstance(part, Local):
                self.reads[part.name] = self.reads.get(part.name, 0) + 1
