"""From python-liquid's tree to ours: the only place that knows how the former looks."""

from __future__ import annotations

from typing import Any

from liquid.ast import BlockNode, ConditionalBlockNode
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions.filtered import FilteredExpression, TernaryFilteredExpression
from liquid.builtin.expressions.logical import BooleanExpression, LogicalNotExpression
from liquid.builtin.expressions.path import Path
from liquid.builtin.expressions.primitive import Blank, Empty, Nil, RangeLiteral
from liquid.builtin.expressions.primitive import Literal as LiquidLiteral
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.doc_tag import DocNode
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.liquid_tag import LiquidNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.template import BoundTemplate

from bridge.calendar.liquid import tree
from bridge.calendar.liquid.dialect import USER, AbortNode, CallNode, SilentNode

# Where Braze keeps values: `custom_attribute.${x}` and likewise.
ROOTS = (
    USER,
    "custom_attribute",
    "event_properties",
    "api_trigger_properties",
    "context",
    "campaign",
    "canvas",
    "content_blocks",
    "subscribed_state",
    "app",
    "targeted_device",
    "most_recently_used_device",
)
_COMPARISONS = {
    "EqExpression": "==",
    "NeExpression": "!=",
    "LtExpression": "<",
    "GtExpression": ">",
    "LeExpression": "<=",
    "GeExpression": ">=",
    "ContainsExpression": "contains",
    "LogicalAndExpression": "and",
    "LogicalOrExpression": "or",
}


def read(template: BoundTemplate, text: str) -> tree.Nodes:
    """The whole body. `text`: as it was pasted, to quote from."""
    return _Reader(text).nodes(template.nodes)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = text.split("\n")
        self._saved: set[str] = set()

    def nodes(self, found: list[Any]) -> tree.Nodes:
        out: list[tree.Node] = []
        for node in found:
            out += self._node(node)
        return tuple(out)

    def _node(self, node: Any) -> tree.Nodes:
        line = _line(node)
        if isinstance(node, ContentNode):
            return (tree.Text(node.text, line),)
        if isinstance(node, OutputNode):
            return (tree.Output(self._value(node.expression, line), line),)
        if isinstance(node, AssignNode):
            return (tree.Set(str(node.name), self._value(node.expression, line), line),)
        if isinstance(node, CaptureNode):
            return (tree.SetText(str(node.name), self.nodes(node.block.nodes), line),)
        if isinstance(node, (IfNode, UnlessNode)):
            return (self._if(node, line),)
        if isinstance(node, CaseNode):
            return (self._case(node, line),)
        if isinstance(node, ForNode):
            return (self._for(node, line),)
        if isinstance(node, AbortNode):
            return (tree.Abort(node.reason or "aborted", line),)
        if isinstance(node, CallNode):
            return (self._call(node, line),)
        if isinstance(node, SilentNode):
            words = f'"{node.tag}" takes a text from elsewhere: put that text here'
            return (tree.NoEqual(f"{{% {node.tag} {node.expression} %}}", words, line=line),)
        if isinstance(node, (CommentNode, DocNode)):
            return (tree.Comment(str(node.text or "").strip(), line),)
        if isinstance(node, LiquidNode):
            return self.nodes(node.block.nodes)
        if isinstance(node, (BlockNode, ConditionalBlockNode)):
            return self.nodes(getattr(node, "nodes", None) or node.block.nodes)  # type: ignore[union-attr]
        written = self._lines[line - 1].strip() if 0 < line <= len(self._lines) else str(node)
        return (tree.NoEqual(written, f'the tag "{node.token.value}" has no equal here', line=line),)

    def _if(self, node: Any, line: int) -> tree.If:
        condition = self._value(node.condition, line)
        if isinstance(node, UnlessNode):
            condition = tree.Not(condition)
        branches = [(condition, self.nodes(node.consequence.nodes))]
        branches += [
            (self._value(other.expression, line), self.nodes(other.block.nodes))
            for other in node.alternatives
        ]
        return tree.If(tuple(branches), self.nodes(node.default.nodes) if node.default else (), line)

    def _case(self, node: Any, line: int) -> tree.If:
        left = self._value(node.expression, line)
        branches: list[tuple[tree.Expression, tree.Nodes]] = []
        otherwise: tree.Nodes = ()
        for block in node.blocks:
            if not isinstance(block, MultiExpressionBlockNode):
                otherwise = self.nodes(block.nodes)
                continue
            asked: tree.Expression | None = None
            for one in block.expression.expressions:
                equal = _equal(left, self._value(one, line))
                asked = equal if asked is None else tree.Both(asked, "or", equal)
            if asked is not None:
                branches.append((asked, self.nodes(block.block.nodes)))
        return tree.If(tuple(branches), otherwise, line)

    def _for(self, node: Any, line: int) -> tree.For:
        loop = node.expression
        return tree.For(
            str(loop.identifier),
            self._value(loop.iterable, line),
            self.nodes(node.block.nodes),
            self.nodes(node.default.nodes) if node.default else (),
            self._value(loop.offset, line) if loop.offset is not None else None,
            self._value(loop.limit, line) if loop.limit is not None else None,
            bool(loop.reversed),
            line,
        )

    def _call(self, node: CallNode, line: int) -> tree.NoEqual:
        name = node.options.get("save", "").split(" ")[0]
        self._saved.add(name)
        written = self._lines[line - 1].strip()[:120]
        if "oauth2/token" in node.url:
            words = "the token of Rokt Calendar is not needed: the bridge gets its own"
            return tree.NoEqual(written, words, is_done=True, line=line)
        words = (
            "a template calls nobody: leave the call in the webhook, and send what it answers as variables"
        )
        return tree.NoEqual(written, words, line=line)

    def _value(self, value: Any, line: int) -> tree.Expression:
        if isinstance(value, BooleanExpression):
            return self._value(value.expression, line)
        if isinstance(value, FilteredExpression):
            found = self._value(value.left, line)
            for one in value.filters or ():
                args = tuple(self._value(arg.value, line) for arg in one.args)
                found = tree.Filtered(found, one.name, args, _line(one) or line)
            return found
        if isinstance(value, TernaryFilteredExpression):
            return self._value(value.left, line)
        if isinstance(value, LogicalNotExpression):
            return tree.Not(self._value(value.right, line))
        if sign := _COMPARISONS.get(type(value).__name__):
            left, right = self._value(value.left, line), self._value(value.right, line)
            if sign in ("==", "!="):
                return _equal(left, right) if sign == "==" else _unequal(left, right)
            return tree.Both(left, sign, right)
        if isinstance(value, Path):
            return self._path(value, line)
        if isinstance(value, (Nil, Blank, Empty)):
            return tree.Literal(None)
        if isinstance(value, RangeLiteral):
            return tree.Span(self._value(value.start, line), self._value(value.stop, line))
        if isinstance(value, LiquidLiteral):
            return tree.Literal(value.value)
        return tree.Literal(str(value))

    def _path(self, value: Path, line: int) -> tree.Expression:
        head, *rest = value.path
        keys = [self._path(key, line) if isinstance(key, Path) else tree.Literal(key) for key in rest]
        found: tree.Expression
        if head in self._saved:
            return tree.Known("connected_content", str(head), _written(keys))
        if head in ROOTS and keys and isinstance(keys[0], tree.Literal):
            kind, name, keys = "" if head == USER else str(head), str(keys[0].value), keys[1:]
            if any(_is_key(key) for key in keys):  # a part of an object: Braze can send it by itself
                return tree.Known(kind, name, _written(keys))
            found = tree.Known(kind, name)
        else:
            found = tree.Local(str(head))
        for key in keys:
            if isinstance(key, tree.Literal) and key.value in _PARTS_OF_LISTS:
                found = tree.Filtered(found, str(key.value), (), line)
            else:
                found = tree.Part(found, key)
        return found


_PARTS_OF_LISTS = ("first", "last", "size")


def _is_key(key: tree.Expression) -> bool:
    return isinstance(key, tree.Literal) and isinstance(key.value, str) and key.value not in _PARTS_OF_LISTS


def _written(keys: list[tree.Expression]) -> str:
    values = [key.value for key in keys if isinstance(key, tree.Literal)]
    return "".join(f"[{value}]" if isinstance(value, int) else f".{value}" for value in values)


def _equal(left: tree.Expression, right: tree.Expression) -> tree.Expression:
    if _is_blank(right):
        return tree.IsBlank(left)
    return tree.IsBlank(right) if _is_blank(left) else tree.Both(left, "==", right)


def _unequal(left: tree.Expression, right: tree.Expression) -> tree.Expression:
    equal = _equal(left, right)
    return tree.Not(equal) if isinstance(equal, tree.IsBlank) else tree.Both(left, "!=", right)


def _is_blank(value: tree.Expression) -> bool:
    return isinstance(value, tree.Literal) and value.value in (None, "")


def _line(node: Any) -> int:
    token = getattr(node, "token", None)
    if token is None or token.start_index < 0:
        return 0
    return int(token.source.count("\n", 0, token.start_index)) + 1
