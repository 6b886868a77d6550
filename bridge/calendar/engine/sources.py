"""A template and its shared pieces, parsed: who extends, includes and imports whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from jinja2 import Environment, nodes

from bridge.calendar.engine.declarations import Declaration, read_declaration
from bridge.calendar.engine.faults import TemplateFault, did_you_mean
from bridge.calendar.engine.syntax import syntax_faults

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
MAX_PIECES = 20


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
    """`name` with all that it needs. Errors: TemplateFault."""
    chain = [_read(environment, name, sources)]
    while (parent := chain[-1].parent) is not None:
        if parent in [source.name for source in chain]:
            raise _fault_of(chain[-1], f'"{parent}" extends itself')
        _check_count(chain[-1], len(chain))
        chain.append(_read(environment, parent, sources))
    family = Family(chain, {})
    for source in chain:
        _read_pieces(environment, source, sources, family, (source.name,))
    return family


def stores(node: nodes.Node) -> set[str]:
    """The names that a node gives a value to."""
    names: set[str] = set()
    for found, _ in walk(node):
        if (isinstance(found, nodes.Name) and found.ctx != "load") or isinstance(
            found, (nodes.NSRef, nodes.Macro)
        ):
            names.add(found.name)
        elif isinstance(found, nodes.Import):
            names.add(found.target)
        elif isinstance(found, nodes.FromImport):
            names |= {name if isinstance(name, str) else name[1] for name in found.names}
    return names


def reads(node: nodes.Node, family: Family) -> set[str]:
    """The names that a node reads, with those of the pieces that it includes or imports."""
    names: set[str] = set()
    rest, seen = [node], set()
    while rest:
        for found, _ in walk(rest.pop()):
            if (isinstance(found, nodes.Name) and found.ctx == "load") or isinstance(found, nodes.NSRef):
                names.add(found.name)
            elif isinstance(found, (nodes.Include, nodes.Import, nodes.FromImport)):
                piece = str(found.template.as_const())
                if piece in family.pieces and piece not in seen:
                    seen.add(piece)
                    rest.append(family.pieces[piece].tree)
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
                raise fault_at(
                    source, node, "template", "shared piece", "a template extends one piece, not two"
                )
            source.parent = _piece_name(source, node, node.template, sources)
        elif isinstance(
            node, (nodes.Assign, nodes.AssignBlock, nodes.If, nodes.For, nodes.With, nodes.Macro)
        ):
            if any(True for _ in node.find_all((nodes.Block, nodes.Extends))):
                words = "a block or an extends within another tag is always there: put the condition inside the block"
                raise fault_at(source, node, "template", "template syntax", words)
            source.statements.append(node)
        elif isinstance(node, (nodes.Import, nodes.FromImport)):
            source.statements.append(node)
    for block in source.tree.find_all(nodes.Block):
        for extends in block.find_all(nodes.Extends):
            raise fault_at(
                source, extends, "template", "template syntax", "an extends stands before the blocks"
            )
        if block.name in source.blocks:
            raise fault_at(
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
        raise fault_at(
            source, node, "template", "shared piece", "a shared piece is named in quotes, not by a variable"
        )
    name.value = piece = name.value.removesuffix(".jinja")
    known = [known for known in sources if known.startswith("_")]
    if piece not in sources and getattr(node, "ignore_missing", False):
        return None
    if piece not in sources:
        words = f'there is no shared piece "{piece}"{did_you_mean(piece, known)}'
        raise fault_at(source, node, "template", "unknown piece", words)
    if not piece.startswith("_"):
        words = f'"{piece}" is an event of its own; a shared piece has a name that begins with "_"'
        raise fault_at(source, node, "template", "shared piece", words)
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
            raise _fault_of(source, f'"{name}" includes itself')
        if name in family.pieces:
            continue
        _check_count(source, len(family.pieces))
        piece = family.pieces[name] = _read(environment, name, sources)
        if piece.parent is not None or piece.blocks:
            raise _fault_of(piece, f'"{name}" has blocks: it can be extended, not included or imported')
        _read_pieces(environment, piece, sources, family, (*above, name))


def _check_count(source: Source, count: int) -> None:
    if count >= MAX_PIECES:
        raise _fault_of(source, f"a template is made of {MAX_PIECES} shared pieces at most")


def _fault_of(source: Source, words: str) -> TemplateFault:
    return TemplateFault(source.name, 1, "template", "shared piece", words)


def fault_at(source: Source, node: nodes.Node, place: str, cause: str, words: str) -> TemplateFault:
    return TemplateFault(source.name, node.lineno, place, cause, words)
