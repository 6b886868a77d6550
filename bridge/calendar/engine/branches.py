"""Which conditions a template has, what each depends on, and which of their sides a rendering takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes

from bridge.calendar.engine.compiling import block_nodes, compile_family
from bridge.calendar.engine.generator import Generator
from bridge.calendar.engine.sandbox import Sandbox
from bridge.calendar.engine.sources import BLOCKS, Family, Source, read_family, walk
from bridge.calendar.engine.template import Template


@dataclass(frozen=True)
class Condition:
    """One `if`, `elif` or inline `if`. `names`: the variables on which it depends, those first that it names.

    `within`: the conditions, by number, that decide whether it is asked. `literals`: (name, number or text) for what
    each name is compared with or put through. `tag`: `if`, `elif` or `inline`.
    """

    number: int
    template: str
    line: int
    field: str
    tag: str
    names: tuple[str, ...]
    literals: tuple[tuple[str, Any], ...]
    within: tuple[int, ...]

    def literals_of(self, name: str) -> list[Any]:
        return [value for one, value in self.literals if one == name]


class _Watching(Generator):
    """Writes around each condition what tells the environment how it came out."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        number = self.environment.numbers.get(id(node))  # type: ignore[attr-defined]
        if number is None:
            return super().visit(node, *args, **kwargs)
        self.write(f"environment.saw({number}, ")
        super().visit(node, *args, **kwargs)
        self.write(")")
        return None


class _Watched(Sandbox):
    code_generator_class = _Watching

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[int, int] = {}
        self.seen: set[tuple[int, bool]] = set()

    def saw(self, number: int, value: Any) -> Any:
        self.seen.add((number, bool(value)))
        return value


class Watched:
    """A template that tells which sides of its conditions were taken: (number, came out true)."""

    def __init__(self, name: str, sources: Mapping[str, str]) -> None:
        """Errors: TemplateFault as compile_template, of a template that was compiled before."""
        self._environment = _Watched()
        family = read_family(self._environment, name, sources)
        found = list(_tests(family))
        self._environment.numbers = {id(one.test): n for n, one in enumerate(found)}
        origins = _Origins(family)
        self.conditions = [
            Condition(
                n,
                one.source.name,
                one.line,
                one.field,
                one.tag,
                origins.names(one.test),
                origins.literals(one.test),
                one.within,
            )
            for n, one in enumerate(found)
        ]
        self.template = Template(name, family, compile_family(self._environment, family))

    def begin(self) -> None:
        self._environment.seen = set()

    @property
    def seen(self) -> frozenset[tuple[int, bool]]:
        return frozenset(self._environment.seen)


@dataclass(frozen=True)
class _Test:
    source: Source
    test: nodes.Node
    line: int
    field: str
    tag: str
    within: tuple[int, ...]


def _tests(family: Family) -> Iterator[_Test]:
    """The conditions of all that is printed, each once, the outer before those within it."""
    numbers: dict[int, int] = {}

    def under(
        source: Source, node: nodes.Node, place: str, within: tuple[int, ...], tag: str
    ) -> Iterator[_Test]:
        if isinstance(node, nodes.Block) and node.name in BLOCKS:
            place = node.name
        if not isinstance(node, (nodes.If, nodes.CondExpr)):
            for child in node.iter_child_nodes():
                yield from under(source, child, place, within, "if")
            return
        if id(node.test) in numbers:
            return
        number = numbers[id(node.test)] = len(numbers)
        told = tag if isinstance(node, nodes.If) else "inline"
        yield _Test(source, node.test, node.lineno, place, told, within)
        inner = (*within, number)
        yield from under(source, node.test, place, within, "if")
        for name, value in node.iter_fields(exclude=["test"]):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, nodes.Node):
                    yield from under(source, child, place, inner, "elif" if name == "elif_" else "if")

    for source in family.chain:
        for node in source.statements:
            yield from under(source, node, "template", (), "if")
    for block in BLOCKS:
        for source, node in block_nodes(family, block):
            yield from under(source, node, block, (), "if")
    for piece in family.pieces.values():
        yield from under(piece, piece.tree, "template", (), "if")


class _Origins:
    """Follows a name to the variables that its value is made of: by sets, loops and what macros are called with."""

    def __init__(self, family: Family) -> None:
        self._made_of: dict[str, list[nodes.Node]] = {}
        macros: dict[str, nodes.Macro] = {}
        calls: list[nodes.Call] = []
        for source in family.sources:
            for node, _ in walk(source.tree):
                if isinstance(node, (nodes.Assign, nodes.AssignBlock)):
                    made_of = [node.node] if isinstance(node, nodes.Assign) else list(node.body)
                    self._let(node.target, made_of)
                elif isinstance(node, nodes.For):
                    self._let(node.target, [node.iter])
                elif isinstance(node, nodes.With):
                    for target, value in zip(node.targets, node.values, strict=True):
                        self._let(target, [value])
                elif isinstance(node, nodes.Macro):
                    macros[node.name] = node
                elif isinstance(node, nodes.Call):
                    calls.append(node)
        for call in calls:
            if isinstance(call.node, nodes.Name) and (macro := macros.get(call.node.name)):
                for argument, value in zip(macro.args, call.args, strict=False):
                    self._let(argument, [value])
                for pair in call.kwargs:
                    self._made_of.setdefault(pair.key, []).append(pair.value)

    def names(self, test: nodes.Node) -> tuple[str, ...]:
        """All names that a value can come from, near ones first."""
        return tuple(dict.fromkeys(node.name for node in self._nodes(test) if isinstance(node, nodes.Name)))

    def literals(self, test: nodes.Node) -> tuple[tuple[str, Any], ...]:
        """What stands beside a name in a comparison, a filter, a test or a call, and beside what it is set from."""
        found: list[tuple[str, Any]] = []
        for node in self._nodes(test):
            if isinstance(node, (nodes.Compare, nodes.Filter, nodes.Test, nodes.Call)):
                beside = [
                    one.value for one in node.find_all(nodes.Const) if type(one.value) in (str, int, float)
                ]
                found += [(name, value) for name in self.names(node) for value in beside]
        return tuple(dict.fromkeys(found))

    def _nodes(self, test: nodes.Node) -> Iterator[nodes.Node]:
        rest, followed = [test], set()
        while rest:
            for node, _ in walk(rest.pop(0)):
                yield node
                if isinstance(node, nodes.Name) and node.name not in followed:
                    followed.add(node.name)
                    rest += self._made_of.get(node.name, [])

    def _let(self, target: nodes.Node, made_of: list[nodes.Node]) -> None:
        for name in [target, *target.find_all(nodes.Name)]:
            if isinstance(name, nodes.Name):
                self._made_of.setdefault(name.name, []).extend(made_of)
