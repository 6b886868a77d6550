"""From the parsed files of a template to functions: one for each block, and one for each top level."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import Frame
from jinja2.idtracking import VAR_LOAD_RESOLVE
from jinja2.runtime import Context

from bridge.calendar.engine.declarations import RESERVED
from bridge.calendar.engine.examples import fitting
from bridge.calendar.engine.faults import TemplateFault
from bridge.calendar.engine.generator import Generator
from bridge.calendar.engine.reach import EACH, GLOBALS
from bridge.calendar.engine.sandbox import Sandbox
from bridge.calendar.engine.sources import BLOCKS, Family, Source, naming_pieces, reads, stores, walk
from bridge.calendar.engine.syntax import syntax_faults

Run = Callable[[Context], Iterator[str]]


@dataclass(frozen=True)
class Slice:
    """What one block needs: the nodes of the block and of what sets its names, and all names that they read.

    `roots` run what sets its names, the base's first.
    """

    nodes: tuple[tuple[Source, nodes.Node], ...]
    reads: frozenset[str]
    roots: tuple[Run, ...]


@dataclass(frozen=True)
class Program:
    """A family, compiled. `blocks` has the nearest definition of each block first; `roots` the base's first.

    `free_names`: what is read and not set where it is read, and where first: (file, line). `stored`: all names
    that are set anywhere. `lines`: (file, line) of each block. `fitting`: examples by use.
    """

    environment: Sandbox
    blocks: dict[str, list[Run]]
    roots: tuple[Run, ...]
    zone: Slice
    event_id: Slice
    free_names: dict[str, tuple[str, int]]
    stored: frozenset[str]
    lines: dict[str, tuple[str, int]]
    fitting: dict[str, Any]


def compile_family(environment: Sandbox, family: Family) -> Program:
    """Compile checked sources. TemplateFault for what is nested too deeply for Python."""
    free = _free_names(environment, family)
    stored = frozenset(name for source in family.sources for name in stores(source.tree))
    fit = fitting(source.tree for source in family.sources)
    for source in family.sources:
        _prepare(source.tree)
    for name, piece in family.pieces.items():
        environment.pieces[name] = _compile(environment, piece, piece.tree.body)
    blocks: dict[str, list[Run]] = {}
    roots: list[Run] = []
    lines: dict[str, tuple[str, int]] = {}
    for source in family.chain:
        compiled = _compile(environment, source, [*source.statements, *_top_blocks(source)])
        for block, run in compiled.blocks.items():
            blocks.setdefault(block, []).append(run)
            lines.setdefault(block, (source.name, source.blocks[block].lineno))
        if source.statements:
            roots.insert(0, compiled.root_render_func)
    zone, event_id = (_slice(environment, family, block) for block in ("timezone", "event_id"))
    return Program(environment, blocks, tuple(roots), zone, event_id, free, stored, lines, fit)


def time_use(node: nodes.Node, times: frozenset[str], is_asked: bool = False) -> Iterator[nodes.Node]:
    """Where a node reads a time as a time, beyond asking whether it is given."""
    if isinstance(node, nodes.Name):
        if node.ctx == "load" and node.name in times and not is_asked:
            yield node
        return
    if isinstance(node, nodes.Filter) and node.name in ("at", "time"):
        yield node
    for name, child in _children(node):
        asks = (
            (isinstance(node, (nodes.If, nodes.CondExpr)) and name == "test")
            or (isinstance(node, (nodes.And, nodes.Or, nodes.Not)) and is_asked)
            or (isinstance(node, nodes.Test) and node.name in ("defined", "undefined", "blank", "none"))
        )
        yield from time_use(child, times, asks)


def _children(node: nodes.Node) -> Iterator[tuple[str, nodes.Node]]:
    for name, value in node.iter_fields():
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, nodes.Node):
                yield name, child


def block_nodes(
    family: Family, name: str, seen: frozenset[str] = frozenset()
) -> Iterator[tuple[Source, nodes.Node]]:
    """The definitions of a block that print: the nearest, those that it calls by super(), and blocks within it."""
    for source in family.chain:
        if block := source.blocks.get(name):
            yield source, block
            for inner in block.find_all(nodes.Block):
                if inner.name not in seen:
                    yield from block_nodes(family, inner.name, seen | {name, inner.name})
            names = {found.name for found in block.find_all(nodes.Name)}
            if "self" in names and "self" not in seen:
                for other in BLOCKS:
                    yield from block_nodes(family, other, seen | {"self", other})
            if "super" not in names:
                return


def _slice(environment: Sandbox, family: Family, block: str) -> Slice:
    printing = list(block_nodes(family, block))
    names: set[str] = set()
    for _, node in printing:
        names |= reads(node, family)
    order = [(source, node) for source in reversed(family.chain) for node in source.statements]
    needed: list[tuple[Source, nodes.Node]] = []
    for source, node in reversed(order):
        if stores(node) & names:
            needed.insert(0, (source, node))
            names |= reads(node, family)
    by_source = [
        (source, [node for owner, node in needed if owner is source]) for source in family.chain[::-1]
    ]
    roots = [_compile(environment, source, part).root_render_func for source, part in by_source if part]
    return Slice((*needed, *printing), frozenset(names), tuple(roots))


class _Names(Generator):
    """Follows the scopes of a template as the compiler does, and keeps the names that none of them sets."""

    def __init__(self, environment: Sandbox) -> None:
        super().__init__(environment, "", "", optimized=False)
        self.found: set[str] = set()

    def write(self, x: str) -> None:
        pass

    def enter_frame(self, frame: Frame) -> None:
        super().enter_frame(frame)
        loads = frame.symbols.loads.values()
        self.found |= {name for action, name in loads if action == VAR_LOAD_RESOLVE and name is not None}


def _free_names(environment: Sandbox, family: Family) -> dict[str, tuple[str, int]]:
    """The names that have to come from outside: (file, line) of their first use.

    A block that a nearer one replaces does not count.
    """
    used = {id(node) for block in BLOCKS for _, node in block_nodes(family, block)}
    free: dict[str, tuple[str, int]] = {}
    for source in family.sources:
        body: list[nodes.Node] = source.tree.body
        if source.name not in family.pieces:
            body = [*source.statements, *(block for block in _top_blocks(source) if id(block) in used)]
        names = _Names(environment)
        with syntax_faults(source.name, source.text):
            names.visit(_tree(environment, body))
        for part in body:
            for node, place in walk(part, part.name if isinstance(part, nodes.Block) else "template"):
                if isinstance(node, nodes.Name) and node.name in names.found - _GIVEN:
                    if node.name in RESERVED:
                        words = f'"{node.name}" means nothing in this place'
                        raise TemplateFault(source.name, node.lineno, place, "unknown name", words)
                    free.setdefault(node.name, (source.name, node.lineno))
    return free


_GIVEN = {*GLOBALS, "now"}


def _top_blocks(source: Source) -> list[nodes.Block]:
    return [node for node in source.tree.body if isinstance(node, nodes.Block)]


def _prepare(tree: nodes.Template) -> None:
    """Let every loop count its rounds, and every import see the variables."""
    for loop in list(tree.find_all(nodes.For)):
        loop.iter = nodes.Filter(loop.iter, EACH, [], [], None, None, lineno=loop.lineno)
    for imported in naming_pieces(tree):
        imported.with_context = True


def _compile(environment: Sandbox, source: Source, body: list[nodes.Node]) -> jinja2.Template:
    with syntax_faults(source.name, source.text):
        code: Any = environment.compile(_tree(environment, body), source.name, source.name)
    return jinja2.Template.from_code(environment, code, {})


def _tree(environment: Sandbox, body: list[nodes.Node]) -> nodes.Template:
    tree = nodes.Template(list(body), lineno=1)
    tree.set_environment(environment)
    return tree
