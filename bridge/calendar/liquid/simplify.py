"""A body with less in it: what is used once stands where it is used, and what the bridge does itself is gone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bridge.calendar.liquid import tree
from bridge.calendar.liquid.body import Body, unescaped
from bridge.calendar.liquid.names import BRIDGES, is_bridges
from bridge.calendar.liquid.results import Note
from bridge.calendar.liquid.tree import (
    Abort,
    Both,
    Expression,
    Filtered,
    For,
    If,
    IsBlank,
    Known,
    Literal,
    Local,
    Node,
    Nodes,
    Not,
    Output,
    Set,
    SetText,
    Text,
    Uses,
)

_FOR_JSON = ("json_escape", "as_json_string")


@dataclass
class Simple:
    """Blocks, what stops, and the statements that these need."""

    blocks: dict[str, Nodes]
    aborts: Nodes
    statements: Nodes
    beside: Nodes = ()
    notes: list[Note] = field(default_factory=list)


def simplified(blocks: dict[str, Nodes], body: Body) -> Simple:
    """`blocks`: the fields of the event, by the template's names."""
    escaped = _escaped_names(blocks)
    statements = _without_json(body.statements, escaped)
    blocks = {name: _plain_outputs(nodes) for name, nodes in blocks.items()}
    inliner = _Inliner(statements, [*blocks.values(), body.aborts])
    blocks = {name: inliner.nodes(nodes) for name, nodes in blocks.items()}
    notes: list[Note] = []
    kept = _without_bridges(inliner.nodes(body.aborts), notes)
    return Simple(blocks, _merged(kept), inliner.rest(), body.beside, notes)


def _escaped_names(blocks: dict[str, Nodes]) -> frozenset[str]:
    """The names that are printed through json_escape: their text is no JSON itself."""
    found: set[str] = set()
    for nodes in blocks.values():
        for node in tree.walk(nodes):
            if isinstance(node, Output) and _is_escaped(node.value):
                found |= {part.name for part in tree.every(node.value) if isinstance(part, Local)}
    return frozenset(found)


def _is_escaped(value: Expression) -> bool:
    return any(isinstance(part, Filtered) and part.name in _FOR_JSON for part in tree.every(value))


def _plain_outputs(nodes: Nodes) -> Nodes:
    """Outputs without json_escape; a literal that was printed without it is read as JSON."""

    def change(node: Node) -> Nodes:
        if not isinstance(node, Output):
            return (node,)
        value = node.value if _is_escaped(node.value) else tree.changed(node.value, _unescaped_literal)
        return (replace(node, value=tree.changed(value, _without_escape)),)

    return tree.rebuilt(nodes, change, lambda value: value)


def _without_json(statements: Nodes, escaped: frozenset[str]) -> Nodes:
    def change(node: Node) -> Nodes:
        if isinstance(node, SetText) and node.name not in escaped:
            return (replace(node, nodes=tree.rebuilt(node.nodes, _unescape_text, lambda value: value)),)
        if isinstance(node, Set) and node.name not in escaped and not _is_escaped(node.value):
            return (replace(node, value=tree.changed(node.value, _unescaped_literal)),)
        return (node,)

    plain = tree.rebuilt(statements, change, lambda value: value)
    return tree.rebuilt(plain, lambda node: (node,), lambda value: tree.changed(value, _without_escape))


def _unescape_text(node: Node) -> Nodes:
    return (replace(node, text=unescaped(node.text)),) if isinstance(node, Text) else (node,)


def _unescaped_literal(value: Expression) -> Expression:
    if isinstance(value, Literal) and isinstance(value.value, str):
        return Literal(unescaped(value.value))
    return value


def _without_escape(value: Expression) -> Expression:
    return value.base if isinstance(value, Filtered) and value.name in _FOR_JSON else value


class _Inliner:
    """Puts what a name was set to where the name is read, if that is one place or a plain value."""

    def __init__(self, statements: Nodes, roots: list[Nodes]) -> None:
        self._statements = statements
        writes = Uses().add(statements).writes
        for root in roots:
            writes |= {node.name: 2 for node in tree.walk(root) if isinstance(node, For)}
        self._set: dict[str, Set | SetText] = {
            node.name: node
            for node in statements
            if isinstance(node, (Set, SetText)) and writes.get(node.name) == 1
        }
        self._needed = _needed(statements, roots)
        reads = Uses()
        for root in (*roots, _kept(statements, self._needed)):
            reads.add(root)
        self._inline = {
            name for name, node in self._set.items() if self._is_inlined(node, reads.reads.get(name, 0))
        }

    def nodes(self, nodes: Nodes) -> Nodes:
        return tree.rebuilt(nodes, self._node, self._value)

    def rest(self) -> Nodes:
        """The statements that are still needed."""
        kept = tuple(
            node
            for node in _kept(self._statements, self._needed)
            if not (isinstance(node, (Set, SetText)) and node.name in self._inline)
        )
        return self.nodes(kept)

    def _is_inlined(self, node: Set | SetText, reads: int) -> bool:
        if isinstance(node, SetText):
            return reads == 1 and not any(
                isinstance(one, (Set, SetText, For)) for one in tree.walk(node.nodes)
            )
        if is_bridges(node.value) or isinstance(node.value, Known):
            return True
        is_safe = not any(isinstance(p, Local) and p.name not in self._set for p in tree.every(node.value))
        is_short = isinstance(node.value, Filtered) and node.value.name in ("default", "date")
        base = node.value.base if is_short and isinstance(node.value, Filtered) else None
        return is_safe and (reads == 1 or isinstance(base, Known))

    def _node(self, node: Node) -> Nodes:
        read = _stripped(node.value) if isinstance(node, Output) else None
        if isinstance(read, Local) and read.name in self._inline:
            setting = self._set[read.name]
            if isinstance(setting, SetText):
                return self.nodes(_trimmed(setting.nodes))
        return (node,)

    def _value(self, value: Expression) -> Expression:
        value_read = _stripped(value)
        if isinstance(value_read, Local):  # an output of a captured text takes all of it: see _node
            setting = self._set.get(value_read.name)
            if isinstance(setting, SetText):
                return value
        return tree.changed(value, self._part)

    def _part(self, part: Expression) -> Expression:
        if not isinstance(part, Local) or part.name not in self._inline:
            return part
        setting = self._set[part.name]
        if isinstance(setting, Set):
            return tree.changed(setting.value, self._part)
        if all(isinstance(node, Text) for node in setting.nodes):
            return Literal("".join(node.text for node in setting.nodes if isinstance(node, Text)))
        self._inline.discard(part.name)  # a filter works on all of its text: the name stays
        return part


def _stripped(value: Expression) -> Expression:
    """A value without the filters that a block does by itself."""
    while isinstance(value, Filtered) and value.name in ("strip", "lstrip", "rstrip"):
        value = value.base
    return value


def _trimmed(nodes: Nodes) -> Nodes:
    """Without the line breaks right behind the opening and right before the closing tag."""
    if nodes and isinstance(nodes[0], Text):
        nodes = (replace(nodes[0], text=nodes[0].text.removeprefix("\n")), *nodes[1:])
    if nodes and isinstance(nodes[-1], Text):
        nodes = (*nodes[:-1], replace(nodes[-1], text=nodes[-1].text.removesuffix("\n")))
    return nodes


def _needed(statements: Nodes, roots: list[Nodes]) -> frozenset[str]:
    """The names that the blocks read, and those that these are made of."""
    needed: set[str] = set()
    for root in roots:
        needed |= set(Uses().add(root).reads)
    while True:
        more = set(Uses().add(_kept(statements, frozenset(needed))).reads) - needed
        if not more:
            return frozenset(needed)
        needed |= more


def _kept(statements: Nodes, needed: frozenset[str]) -> Nodes:
    kept: list[Node] = []
    for node in statements:
        if isinstance(node, (Set, SetText)):
            if node.name in needed:
                kept.append(node)
        elif isinstance(node, If):
            branches = tuple((condition, _kept(within, needed)) for condition, within in node.branches)
            otherwise = _kept(node.otherwise, needed)
            if otherwise or any(within for _, within in branches):
                kept.append(replace(node, branches=branches, otherwise=otherwise))
        elif isinstance(node, For) and (within := _kept(node.nodes, needed)):
            kept.append(replace(node, nodes=within))
    return tuple(kept)


def _without_bridges(nodes: Nodes, notes: list[Note]) -> Nodes:
    """What stops, without the conditions that only ask for what the bridge looks at itself."""
    kept: list[Node] = []
    for node in nodes:
        if isinstance(node, Abort):
            kept.append(node)
        elif isinstance(node, For):
            kept.append(replace(node, nodes=_without_bridges(node.nodes, notes)))
        elif isinstance(node, If):
            kept += _decided(node, notes)
    return tuple(kept)


def _decided(node: If, notes: list[Note]) -> Nodes:
    branches: list[tuple[Expression, Nodes]] = []
    otherwise = node.otherwise
    for condition, within in node.branches:
        decided = _decide(condition)
        if decided != condition:
            words = "stopping users without an id or a subscription is in the webhook to paste"
            notes.append(Note(node.line, words, is_open=False))
        if decided == Literal(False):
            continue
        if decided == Literal(True):
            otherwise = within
            break
        branches.append((decided, _without_bridges(within, notes)))
    otherwise = _without_bridges(otherwise, notes)
    if not branches:
        return otherwise
    return (replace(node, branches=tuple(branches), otherwise=otherwise),)


def _decide(value: Expression) -> Expression:
    """A condition for somebody who has an id and subscriptions."""
    if isinstance(value, IsBlank):
        return Literal(False) if is_bridges(value.operand) else value
    if isinstance(value, Not):
        operand = _decide(value.operand)
        if isinstance(operand, Literal) and isinstance(operand.value, bool):
            return Literal(not operand.value)
        return replace(value, operand=operand)
    if isinstance(value, Both) and value.operator in ("and", "or"):
        left, right = _decide(value.left), _decide(value.right)
        ends = Literal(value.operator == "or")  # what decides the whole by itself
        if ends in (left, right):
            return ends
        if isinstance(left, Literal):
            return right
        return left if isinstance(right, Literal) else replace(value, left=left, right=right)
    if isinstance(value, Both) and value.operator in ("==", ">", "<", ">=", "<=") and is_bridges(value.left):
        is_count = isinstance(value.left, Filtered) and value.left.name == "size"
        if is_count and isinstance(value.right, Literal) and isinstance(value.right.value, int):
            return Literal({"==": value.right.value != 0, ">": True, ">=": True}.get(value.operator, False))
    return Literal(True) if isinstance(value, Known) and value in BRIDGES else value


def _merged(nodes: Nodes) -> Nodes:
    """Conditions one behind the other as one: the first that stops a message says why."""
    out: list[Node] = []
    for node in nodes:
        last = out[-1] if out else None
        if isinstance(node, If) and isinstance(last, If) and not last.otherwise:
            out[-1] = replace(last, branches=(*last.branches, *node.branches), otherwise=node.otherwise)
        else:
            out.append(node)
    return tuple(out)
