"""Which Liquid stands in which string of the JSON that a body prints."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from bridge.calendar.liquid import tree
from bridge.calendar.liquid.results import LiquidFault, Note
from bridge.calendar.liquid.tree import (
    Abort,
    Comment,
    For,
    If,
    Node,
    Nodes,
    NoEqual,
    Output,
    Set,
    SetText,
    Text,
)

MOST_WAYS = 64  # through the conditions that stand around parts of the JSON


@dataclass(frozen=True)
class Body:
    """`fields`: by the JSON's own path ("event.title"). `statements`: what sets names; `aborts`: what stops.

    `beside`: what stands around the JSON and prints nothing of it: comments, and what has no equal.
    """

    fields: dict[str, Nodes]
    lines: dict[str, int]
    statements: Nodes
    aborts: Nodes
    beside: Nodes = ()
    notes: list[Note] = field(default_factory=list)


def read_body(nodes: Nodes) -> Body:
    """Errors: LiquidFault where the text is no JSON, whatever the conditions are."""
    reader = _Reader(nodes)
    whole = reader.ways(())
    paths = dict.fromkeys(path for leaf in _leaves(whole) for path in leaf.fields)
    return Body(
        fields={path: _field(whole, path) or () for path in paths},
        lines={
            path: min(leaf.lines[path] for leaf in _leaves(whole) if path in leaf.lines) for path in paths
        },
        statements=statements(nodes),
        aborts=aborts(nodes),
        beside=tuple(dict.fromkeys(reader.beside)),
        notes=list(dict.fromkeys(reader.notes)),
    )


def statements(nodes: Nodes) -> Nodes:
    """What gives names a value, with the conditions and loops around it."""
    return _only(nodes, (Set, SetText))


def aborts(nodes: Nodes) -> Nodes:
    """What stops a message, with the conditions and loops around it."""
    return _only(nodes, (Abort,))


def unescaped(text: str) -> str:
    """A text as JSON's quotes hold it, without its backslashes; as it is where that is no JSON."""
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{_BARE_QUOTE.sub(chr(92) + chr(34), text)}"', strict=False))
    except ValueError:
        return text


def _only(nodes: Nodes, kinds: tuple[type, ...]) -> Nodes:
    kept: list[Node] = []
    for node in nodes:
        if isinstance(node, kinds):
            kept.append(node)
        elif isinstance(node, If):
            branches = tuple((condition, _only(within, kinds)) for condition, within in node.branches)
            otherwise = _only(node.otherwise, kinds)
            if otherwise or any(within for _, within in branches):
                kept.append(replace(node, branches=branches, otherwise=otherwise))
        elif isinstance(node, For) and (within := _only(node.nodes, kinds)):
            kept.append(replace(node, nodes=within, otherwise=()))
    return tuple(kept)


@dataclass(frozen=True)
class _Leaf:
    fields: dict[str, Nodes]
    lines: dict[str, int]


@dataclass(frozen=True)
class _Fork:
    node: If
    ways: tuple[_Way, ...]


_Way: TypeAlias = _Leaf | _Fork


def _leaves(way: _Way) -> list[_Leaf]:
    return [way] if isinstance(way, _Leaf) else [leaf for one in way.ways for leaf in _leaves(one)]


def _field(way: _Way, path: str) -> Nodes | None:
    """What a field prints: the same on all ways, or each of them under its condition."""
    if isinstance(way, _Leaf):
        return way.fields.get(path)
    found = [_field(one, path) for one in way.ways]
    if all(one == found[0] for one in found):
        return found[0]
    branches = tuple((c, one or ()) for (c, _), one in zip(way.node.branches, found, strict=False))
    return (replace(way.node, branches=branches, otherwise=found[-1] or ()),)


class _Forked(Exception):
    def __init__(self, node: If) -> None:
        self.node = node


class _Reader:
    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self.notes: list[Note] = []
        self.beside: list[Node] = []
        self._count = 0

    def ways(self, choices: tuple[int, ...]) -> _Way:
        try:
            linear = _Linear(choices)
            linear.feed(self._nodes)
        except _Forked as forked:
            node = forked.node
            return _Fork(node, tuple(self.ways((*choices, way)) for way in range(len(node.ways))))
        self._count += 1
        if self._count > MOST_WAYS:
            raise LiquidFault("too many conditions stand around parts of the JSON: put them inside the texts")
        return self._leaf(linear)

    def _leaf(self, linear: _Linear) -> _Leaf:
        self.beside += linear.beside
        if not linear.has_begun:
            return _Leaf({}, {})
        value, repairs = _loaded(linear)
        self.notes += [*linear.notes, *repairs]
        fields: dict[str, Nodes] = {}
        lines: dict[str, int] = {}
        if isinstance(value, dict):
            for key, one in value.items():
                within = one.items() if isinstance(one, dict) else ((None, one),)
                for inner, leaf in within:
                    path = key if inner is None else f"{key}.{inner}"
                    fields[path] = linear.nodes_of(leaf)
                    lines[path] = linear.line_of(f'"{inner or key}"')
        return _Leaf(fields, lines)


_MARK = re.compile("\ue000([0-9]+)\ue001")
_BARE_QUOTE = re.compile(r'(?<!\\)"')


class _Linear:
    """The text of one way, with a mark for each thing that Liquid prints in it."""

    def __init__(self, choices: tuple[int, ...]) -> None:
        self._choices = list(choices)
        self._marked: list[Node] = []
        self._parts: list[str] = []
        self._lines: list[int] = []  # the source's line of each part
        self._in_string = self._is_escaped = False
        self.has_begun = False
        self.open: list[str] = []
        self.notes: list[Note] = []
        self.beside: list[Node] = []

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def feed(self, nodes: Nodes) -> None:
        for node in nodes:
            if isinstance(node, Text):
                self._feed_text(node)
            elif isinstance(node, If) and self._is_fork(node):
                if not self._choices:
                    raise _Forked(node)
                self.feed(node.ways[self._choices.pop(0)])
            elif self._in_string:
                if not isinstance(node, (Set, SetText, Abort)) and _prints(node):
                    self._mark(node, quoted=False)
            elif isinstance(node, (Comment, NoEqual)):
                self.beside.append(node)
            elif isinstance(node, Output) or (isinstance(node, For) and _prints(node)):
                if self.has_begun:
                    self._mark(node, quoted=True)
                else:
                    self.notes.append(
                        Note(node.line, "this prints something before the JSON: it is left out")
                    )

    def nodes_of(self, value: Any) -> Nodes:
        """A JSON value's text, with what its marks stand for."""
        if isinstance(value, bool):
            return (Text("yes" if value else "no"),)
        if value is None:
            return ()
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        out: list[Node] = []
        for number, piece in enumerate(_MARK.split(text)):
            if number % 2:
                out.append(_unescaped_within(self._marked[int(piece)]))
            elif piece:
                out.append(Text(piece))
        return tuple(out)

    def line_of(self, key: str) -> int:
        at = self.text.find(key)
        return self.line_at(max(at, 0))

    def line_at(self, place: int) -> int:
        for part, line in zip(self._parts, self._lines, strict=True):
            if place <= len(part):
                return line + part.count("\n", 0, place)
            place -= len(part)
        return self._lines[-1] if self._lines else 1

    def _feed_text(self, node: Text) -> None:
        text = node.text
        if not self.has_begun:
            begin = text.find("{")
            stray = text[:begin] if begin >= 0 else text
            if stray.strip():
                words = f'"{stray.strip()[:60]}" stands before the JSON: it is left out'
                self.notes.append(Note(node.line, words))
            if begin < 0:
                return
            self.has_begun = True
            # What stands before the JSON keeps its line breaks, by which lines are counted.
            text = "\n" * text.count("\n", 0, begin) + text[begin:]
        self._parts.append(text)
        self._lines.append(node.line)
        for letter in text:
            self._step(letter)

    def _step(self, letter: str) -> None:
        if self._in_string:
            if self._is_escaped:
                self._is_escaped = False
            elif letter == "\\":
                self._is_escaped = True
            elif letter == '"':
                self._in_string = False
        elif letter == '"':
            self._in_string = True
        elif letter in "{[":
            self.open.append("}" if letter == "{" else "]")
        elif letter in "}]" and self.open and self.open[-1] == letter:
            self.open.pop()

    def _mark(self, node: Node, *, quoted: bool) -> None:
        mark = f"\ue000{len(self._marked)}\ue001"
        self._marked.append(node)
        self._parts.append(f'"{mark}"' if quoted else mark)
        self._lines.append(node.line)

    def _is_fork(self, node: If) -> bool:
        texts = [one.text for way in node.ways for one in tree.walk(way) if isinstance(one, Text)]
        if self._in_string:
            return any(_BARE_QUOTE.search(text) for text in texts)
        return any(map(str.strip, texts)) or any(
            isinstance(o, Output) for w in node.ways for o in tree.walk(w)
        )


def _prints(node: Node) -> bool:
    if isinstance(node, (Output, Comment, NoEqual)):
        return True
    return any(isinstance(one, (Text, Output, NoEqual)) for one in tree.walk((node,)))


def _unescaped_within(node: Node) -> Node:
    def change(one: Node) -> Nodes:
        return (replace(one, text=unescaped(one.text)),) if isinstance(one, Text) else (one,)

    [new] = tree.rebuilt((node,), change, lambda value: value)
    return new


_COMMA = re.compile(r",(\s*[}\]])")


def _loaded(linear: _Linear) -> tuple[Any, list[Note]]:
    """The JSON of one way, with what had to be mended for it. Errors: LiquidFault."""
    text, notes = linear.text, []
    try:
        return json.loads(text, strict=False), []
    except json.JSONDecodeError as error:
        first = error
    end = text.rstrip().count("\n") and linear.line_at(len(text.rstrip()))
    if linear.open and not linear._in_string:
        missing = "".join(reversed(linear.open))
        text = text.rstrip() + missing
        notes.append(
            Note(end or None, f"{missing} is missing at the end of the JSON: mended here", is_open=False)
        )
    if _COMMA.search(text):
        place = _COMMA.search(text)
        line = linear.line_at(place.start()) if place else None
        text = _COMMA.sub(r"\1", text)
        notes.append(Note(line, "a comma stands before a closing brace: left out here", is_open=False))
    try:
        return json.loads(text, strict=False), notes
    except json.JSONDecodeError:
        words = f"this is no JSON: {first.msg[:1].lower()}{first.msg[1:]}"
        raise LiquidFault(words, linear.line_at(first.pos)) from first
