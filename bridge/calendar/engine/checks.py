"""What can be said of a template before it runs: its blocks, filters, tests, functions and names."""

from __future__ import annotations

from functools import cache
from inspect import Parameter, signature
from typing import Any

from jinja2 import nodes

from bridge.calendar.engine.faults import TemplateFault, did_you_mean
from bridge.calendar.engine.filters import FILTERS, INSTEAD, TESTS
from bridge.calendar.engine.reach import GLOBALS
from bridge.calendar.engine.sources import BLOCKS, Family, Source, fault_at, stores, walk


def check_family(family: Family) -> None:
    """Errors: TemplateFault with the first mistake and the nearest right name."""
    _check_blocks(family)
    stored = {stored for source in family.sources for stored in stores(source.tree)}
    for source in family.sources:
        _Check(source, family, stored).run()


def _check_blocks(family: Family) -> None:
    """Every block is a field; a shared piece may have further ones within its fields for others to fill."""
    known = list(BLOCKS)
    for source in reversed(family.chain):
        top = {id(node) for node in source.tree.body}
        own = []
        for name, block in source.blocks.items():
            if name in known:
                continue
            if id(block) in top or not source.name.startswith("_"):
                words = f'there is no block "{name}"{did_you_mean(name, known)}'
                raise fault_at(source, block, name, "unknown block", words)
            own.append(name)
        known += own


class _Check:
    """One file's filters, tests, functions and names."""

    def __init__(self, source: Source, family: Family, stored: set[str]) -> None:
        self._source = source
        self._blocks = {name for member in family.chain for name in member.blocks}
        self._functions = {*GLOBALS, *stored, "super", "caller", "loop"}
        self._checks: dict[type[nodes.Node], Any] = {
            nodes.Filter: self._filter,
            nodes.Test: self._test,
            nodes.Call: self._call,
            nodes.Getattr: self._attribute,
            nodes.Name: self._name,
            nodes.ScopedEvalContextModifier: self._autoescape,
            nodes.EvalContextModifier: self._autoescape,
        }

    def run(self) -> None:
        for node, place in walk(self._source.tree):
            if check := self._checks.get(type(node)):
                check(node, place)

    def _filter(self, node: nodes.Filter, place: str) -> None:
        if node.name not in FILTERS:
            hint = f": {INSTEAD[node.name]}" if node.name in INSTEAD else did_you_mean(node.name, FILTERS)
            raise self._fault(node, place, "unknown filter", f'there is no filter "{node.name}"{hint}')
        self._arguments(node, place, f"filter:{node.name}")

    def _test(self, node: nodes.Test, place: str) -> None:
        if node.name not in TESTS:
            words = f'there is no test "{node.name}"{did_you_mean(node.name, TESTS)}'
            raise self._fault(node, place, "unknown test", words)
        self._arguments(node, place, f"test:{node.name}")

    def _arguments(self, node: nodes.Filter | nodes.Test, place: str, key: str) -> None:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            return
        names = _parameters(key)
        given = {str(pair.key): pair.value for pair in node.kwargs}
        for name in given:
            if names and name not in names:
                words = f'{node.name} has no "{name}"{did_you_mean(name, names)}'
                raise self._fault(node, place, "wrong argument", words)
        try:
            _signature(key).bind(None, *node.args, **given)
        except TypeError as error:
            raise self._fault(node, place, "wrong argument", f"{node.name}: {error}") from error

    def _call(self, node: nodes.Call, place: str) -> None:
        called = node.node
        if isinstance(called, nodes.Name) and called.name not in self._functions:
            words = f'there is no function "{called.name}"{did_you_mean(called.name, self._functions)}'
            if called.name in FILTERS:
                words = f'"{called.name}" is a filter: write value | {called.name}(…)'
            raise self._fault(node, place, "unknown name", words)

    def _attribute(self, node: nodes.Getattr, place: str) -> None:
        if node.attr.startswith("_"):
            raise self._fault(node, place, "unknown name", f'"{node.attr}" is out of reach for a template')
        if isinstance(node.node, nodes.Name) and node.node.name == "self" and node.attr not in self._blocks:
            words = f'there is no block "{node.attr}"{did_you_mean(node.attr, self._blocks)}'
            raise self._fault(node, place, "unknown block", words)

    def _name(self, node: nodes.Name, place: str) -> None:
        if node.ctx != "load" and node.name in _FIXED:
            words = f'"{node.name}" already means something in every template: take another name'
            raise self._fault(node, place, "template syntax", words)

    def _autoescape(self, node: nodes.Node, place: str) -> None:
        raise self._fault(
            node, place, "template syntax", "text needs no escaping here: leave out {% autoescape %}"
        )

    def _fault(self, node: nodes.Node, place: str, cause: str, words: str) -> TemplateFault:
        return fault_at(self._source, node, place, cause, words)


_FIXED = {*GLOBALS, "now", "self", "super"}


@cache
def _signature(key: str) -> Any:
    """A filter's or test's signature without the context that Jinja hands to it."""
    kind, _, name = key.partition(":")
    run = (FILTERS if kind == "filter" else TESTS)[name]
    whole = signature(run)
    parameters = list(whole.parameters.values())
    return whole.replace(parameters=parameters[1:] if hasattr(run, "jinja_pass_arg") else parameters)


@cache
def _parameters(key: str) -> tuple[str, ...]:
    """The names of the arguments, or none if any name will do."""
    parameters = list(_signature(key).parameters.values())
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return ()
    return tuple(p.name for p in parameters[1:] if p.kind is not Parameter.VAR_POSITIONAL)
