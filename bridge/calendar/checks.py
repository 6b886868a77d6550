"""What can be said of a template before it runs: its blocks, its shared pieces, its filters and names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from inspect import Parameter, signature
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes

from bridge.calendar.declarations import Declaration, read_declaration
from bridge.calendar.faults import TemplateFault, did_you_mean
from bridge.calendar.filters import FILTERS, INSTEAD, TESTS
from bridge.calendar.reach import GLOBALS

BLOCKS: tuple[str, ...] = (
    "event_id",
    "title",
    "description",
    "location",
    "start",
    "end",
    "all_day",
    "timezone",
    "notify_before",
    "visible_from",
    "calendar",
    "expires",
    "skip",
)
MAX_SOURCE = 65_536  # bytes
MAX_NODES = 5_000


@dataclass
class Source:
    """One parsed file. `statements` are what its top level does: sets, macros and imports, but no text."""

    name: str
    text: str
    tree: nodes.Template
    declaration: Declaration
    parent: str | None = None
    blocks: dict[str, nodes.Block] = field(default_factory=dict)
    statements: list[nodes.Node] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)


@dataclass
class Family:
    """A template, the pieces that it extends, nearest first, and the pieces that any of them includes or imports."""

    chain: list[Source]
    pieces: dict[str, Source]

    @property
    def sources(self) -> list[Source]:
        return [*self.chain, *self.pieces.values()]


def read_family(environment: Environment, name: str, sources: Mapping[str, str]) -> Family:
    """`name` with all that it needs, checked. TemplateFault with the first mistake."""
    chain = [_read(environment, name, sources)]
    while (parent := chain[-1].parent) is not None:
        if parent in [source.name for source in chain]:
            raise _fault(
                chain[-1], nodes.Const(None, lineno=1), "template", "shared piece", "it extends itself"
            )
        chain.append(_read(environment, parent, sources))
    family = Family(chain, {})
    for source in chain:
        _read_pieces(environment, source, sources, family, (source.name,))
    _check_blocks(family)
    stored = {stored for source in family.sources for stored in stores(source.tree)}
    for source in family.sources:
        _Check(source, family, stored).run()
    return family


@contextmanager
def syntax_faults(name: str, text: str) -> Iterator[None]:
    """What Jinja or Python cannot compile becomes a TemplateFault of the file `name`."""
    try:
        yield
    except TemplateSyntaxError as error:
        words = _syntax(error.message or "", text, error.lineno)
        raise TemplateFault(name, error.lineno, "template", "template syntax", words) from error
    except (SyntaxError, RecursionError, MemoryError, ValueError, OverflowError) as error:
        words = "something here is nested too deeply, or too long"
        raise TemplateFault(name, None, "template", "template syntax", words) from error


def stores(node: nodes.Node) -> set[str]:
    """The names that a node gives a value to."""
    names = {name.name for name in node.find_all(nodes.Name) if name.ctx != "load"}
    names |= {ref.name for ref in node.find_all(nodes.NSRef)}
    names |= {macro.name for macro in node.find_all(nodes.Macro)}
    names |= {imported.target for imported in node.find_all(nodes.Import)}
    for imported in node.find_all(nodes.FromImport):
        names |= {name if isinstance(name, str) else name[1] for name in imported.names}
    if isinstance(node, nodes.Macro):
        names.add(node.name)
    elif isinstance(node, nodes.Import):
        names.add(node.target)
    elif isinstance(node, nodes.FromImport):
        names |= {name if isinstance(name, str) else name[1] for name in node.names}
    return names


def naming_pieces(tree: nodes.Node) -> Iterator[nodes.Include | nodes.Import | nodes.FromImport]:
    """The tags that name a shared piece, but for `{% extends %}`."""
    for node, _ in walk(tree):
        if isinstance(node, (nodes.Include, nodes.Import, nodes.FromImport)):
            yield node


def walk(node: nodes.Node, place: str = "template") -> Iterator[tuple[nodes.Node, str]]:
    """Every node with the field that it belongs to."""
    yield node, place
    for child in node.iter_child_nodes():
        is_field = isinstance(child, nodes.Block) and child.name in BLOCKS
        yield from walk(child, child.name if is_field else place)  # type: ignore[attr-defined]


def _read(environment: Environment, name: str, sources: Mapping[str, str]) -> Source:
    text = sources[name]
    if len(text.encode("utf-8", "replace")) > MAX_SOURCE:
        raise TemplateFault(
            name, None, "template", "template syntax", f"it is longer than {MAX_SOURCE:,} bytes"
        )
    declaration = read_declaration(name, text)
    with syntax_faults(name, text):
        tree = environment.parse(text.removeprefix("\ufeff"), name)
        size = sum(1 for _ in walk(tree))
    if size > MAX_NODES:
        raise TemplateFault(name, None, "template", "template syntax", "it is too long: take it apart")
    source = Source(name, text, tree, declaration)
    _read_top_level(source, sources)
    return source


def _read_top_level(source: Source, sources: Mapping[str, str]) -> None:
    for node in source.tree.body:
        if isinstance(node, nodes.Extends):
            if source.parent is not None:
                raise _fault(
                    source, node, "template", "shared piece", "a template extends one piece, not two"
                )
            source.parent = _piece_name(source, node, node.template, sources)
        elif isinstance(
            node, (nodes.Assign, nodes.AssignBlock, nodes.If, nodes.For, nodes.With, nodes.Macro)
        ):
            if any(True for _ in node.find_all((nodes.Block, nodes.Extends))):
                words = "a block or an extends within another tag is always there: put the condition inside the block"
                raise _fault(source, node, "template", "template syntax", words)
            source.statements.append(node)
        elif isinstance(node, (nodes.Import, nodes.FromImport)):
            source.statements.append(node)
    for block in source.tree.find_all(nodes.Block):
        for extends in block.find_all(nodes.Extends):
            raise _fault(
                source, extends, "template", "template syntax", "an extends stands before the blocks"
            )
        if block.name in source.blocks:
            raise _fault(
                source, block, block.name, "template syntax", f'the block "{block.name}" is there twice'
            )
        source.blocks[block.name] = block
    for naming in naming_pieces(source.tree):
        piece = _piece_name(source, naming, naming.template, sources)
        if piece is not None and piece not in source.pieces:
            source.pieces.append(piece)


def _piece_name(source: Source, node: nodes.Node, name: nodes.Node, sources: Mapping[str, str]) -> str | None:
    """The name of the shared piece that a tag names; the tag is made to name it without `.jinja`."""
    if not isinstance(name, nodes.Const) or not isinstance(name.value, str):
        raise _fault(
            source, node, "template", "shared piece", "a shared piece is named in quotes, not by a variable"
        )
    name.value = piece = name.value.removesuffix(".jinja")
    known = [known for known in sources if known.startswith("_")]
    if piece not in sources and getattr(node, "ignore_missing", False):
        return None
    if piece not in sources:
        words = f'there is no shared piece "{piece}"{did_you_mean(piece, known)}'
        raise _fault(source, node, "template", "unknown piece", words)
    if not piece.startswith("_"):
        words = f'"{piece}" is an event of its own; a shared piece has a name that begins with "_"'
        raise _fault(source, node, "template", "shared piece", words)
    return piece


def _read_pieces(
    environment: Environment,
    source: Source,
    sources: Mapping[str, str],
    family: Family,
    above: tuple[str, ...],
) -> None:
    for name in source.pieces:
        if name in above:
            line = nodes.Const(None, lineno=1)
            raise _fault(source, line, "template", "shared piece", f'"{name}" includes itself')
        if name not in family.pieces:
            piece = family.pieces[name] = _read(environment, name, sources)
            if piece.parent is not None or piece.blocks:
                node = next(iter(piece.blocks.values()), piece.tree)
                words = f'"{name}" has blocks: it can be extended, not included or imported'
                raise _fault(piece, node, "template", "shared piece", words)
        _read_pieces(environment, family.pieces[name], sources, family, (*above, name))


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
                raise _fault(source, block, name, "unknown block", words)
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
        return _fault(self._source, node, place, cause, words)


_FIXED = {*GLOBALS, "now", "self", "super"}


def _fault(source: Source, node: nodes.Node, place: str, cause: str, words: str) -> TemplateFault:
    return TemplateFault(source.name, node.lineno, place, cause, words)


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


_UNKNOWN_TAG = re.compile(r"unknown tag '(\w+)'")
_OPEN_TAG = re.compile(r"needs to be closed is '(\w+)'")
_TAGS = (
    *(
        "if",
        "elif",
        "else",
        "endif",
        "for",
        "endfor",
        "set",
        "endset",
        "block",
        "endblock",
        "extends",
        "include",
    ),
    *(
        "import",
        "from",
        "macro",
        "endmacro",
        "call",
        "endcall",
        "filter",
        "endfilter",
        "with",
        "endwith",
        "raw",
    ),
)
_LIQUID_TAGS = {
    "elsif": "write {% elif … %}",
    "assign": "write {% set … %}",
    "capture": "write {% set name %}…{% endset %}",
    "endcapture": "write {% endset %}",
    "unless": "write {% if not … %}",
    "endunless": "write {% endif %}",
    "case": "write {% if … %} {% elif … %}",
    "when": "write {% elif … %}",
    "abort_message": "use the skip block, or abort in the webhook's body",
    "connected_content": "call it in the webhook's body, and send what it answers as a variable",
    "comment": "write {# … #}",
    "render": "write {% include … %}",
    "do": "use {% set … %}",
}


def _syntax(message: str, text: str, line: int) -> str:
    """Words for what Jinja's parser says."""
    if found := _UNKNOWN_TAG.search(message):
        tag = found[1]
        if tag in _TAGS:
            open_tag = _OPEN_TAG.search(message)
            missing = (
                f": {{% end{open_tag[1]} %}} is missing before it" if open_tag else ": nothing is open there"
            )
            return f'the tag "{tag}" stands in the wrong place{missing}'
        return f'there is no tag "{tag}"' + (
            f": {_LIQUID_TAGS[tag]}" if tag in _LIQUID_TAGS else did_you_mean(tag, _TAGS)
        )
    lines = text.splitlines()
    written = lines[line - 1] if 0 < line <= len(lines) else ""
    if "${" in written:
        return "${…} is Braze's: write it in the webhook's body, and send its value as a variable"
    if "got ':'" in message:
        return 'a filter\'s argument stands in brackets, | date("%H:%M"), not behind a colon'
    return message[:1].lower() + message[1:].rstrip(".")
