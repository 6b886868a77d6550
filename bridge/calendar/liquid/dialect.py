"""Braze's Liquid: `${…}`, outputs inside of tags, its own tags and filters, on top of python-liquid."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import wraps
from typing import Any, NoReturn, TextIO
from urllib.parse import quote
from zoneinfo import ZoneInfo

from dateutil import parser as dates  # type: ignore[import-untyped]
from liquid import Environment, RenderContext, Tag, TokenStream
from liquid.ast import Node
from liquid.builtin.expressions.logical import GeExpression, GtExpression, LeExpression, LtExpression
from liquid.builtin.expressions.primitive import Blank
from liquid.builtin.tags.include_tag import IncludeTag
from liquid.builtin.tags.render_tag import RenderTag
from liquid.exceptions import LiquidError, LiquidSyntaxError, LiquidTypeError
from liquid.expression import Expression
from liquid.template import BoundTemplate
from liquid.token import TOKEN_EXPRESSION, TOKEN_TAG, Token

from bridge.calendar.liquid.results import LiquidFault
from bridge.errors import nearest

# What stands for `${first_name}`: no body can name it, as Braze's own names stand in braces.
USER = "braze_user"


class Aborted(LiquidError):
    """Braze does not send this message."""

    def __init__(self, reason: str, token: Token) -> None:
        super().__init__(reason, token=token)
        self.reason = reason


def parse(text: str, box: str = "body") -> BoundTemplate:
    """Braze's text as a template of python-liquid. Errors: LiquidFault with the line."""
    plain = plain_liquid(text)
    try:
        return _ENVIRONMENT.from_string(plain)
    except LiquidError as error:
        place = error.context()
        raise LiquidFault(_words(error, plain), place[0] if place else None, box) from error
    except RecursionError as error:
        raise LiquidFault("something here is nested too deeply", None, box) from error


def render(template: BoundTemplate, values: Mapping[str, Any], now: datetime) -> str:
    """Errors: Aborted; LiquidFault for what Braze could not work out either."""
    token = _NOW.set(now)
    try:
        return template.render(**values)
    except Aborted:
        raise
    except LiquidError as error:
        place = error.context()
        raise LiquidFault(str(error.message), place[0] if place else None) from error
    finally:
        _NOW.reset(token)


_NOW: ContextVar[datetime] = ContextVar("now")


def plain_liquid(text: str) -> str:
    """`{{custom_attribute.${x}}}` as `{{custom_attribute["x"]}}`; every line stays in its place."""
    return _MARKUP.sub(_plain_markup, text)


# `${…}` is opaque: the braces of `{{${user_id}}}` close in the right place. Possessive, so that hostile text stays
# linear.
_OPAQUE = r"(?:\$\{[^{}]*\}|(?!\}\})[\s\S])*+"
_MARKUP = re.compile(
    r"\{%-?\s*raw\s*-?%\}[\s\S]*?\{%-?\s*endraw\s*-?%\}"
    rf"|\{{\{{{_OPAQUE}\}}\}}"
    r"|\{%(?:(?!%\})[\s\S])*+%\}"
)
_OUTPUT = re.compile(rf"\{{\{{({_OPAQUE})\}}\}}")
_NAME = re.compile(r"(\.)?\$\{([^{}]*)\}")
_RAW = re.compile(r"\{%-?\s*raw\b")
_CALLS = re.compile(r"\{%-?\s*connected_content\b")


def _plain_markup(match: re.Match[str]) -> str:
    markup = match[0]
    if _RAW.match(markup):
        return markup
    if markup.startswith("{%") and not _CALLS.match(markup):
        markup = markup[:2] + _OUTPUT.sub(r"\1", markup[2:-2]) + markup[-2:]
    return _NAME.sub(_plain_name, markup)


def _plain_name(match: re.Match[str]) -> str:
    name = match[2].strip()
    mark = "'" if '"' in name else '"'
    lines = "\n" * match[2].count("\n")
    return f"{'' if match[1] else USER}[{mark}{name.replace(mark, '')}{mark}]{lines}"


class _Blank(Blank):
    """`blank` as Braze has it: nil is blank too."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other is None or super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]


class _Order(Expression):
    """A comparison as Braze has it: what has no order is not in order, as `nil > 5`."""

    __slots__ = ("compared",)

    def __init__(self, compared: Expression) -> None:
        super().__init__(compared.token)
        self.compared = compared

    def evaluate(self, context: RenderContext) -> object:
        try:
            return self.compared.evaluate(context)
        except LiquidTypeError:
            return False

    def children(self) -> list[Expression]:
        return [self.compared]


def as_braze(template: BoundTemplate) -> BoundTemplate:
    """The template with what Braze's Liquid has otherwise than python-liquid, for rendering."""
    for node in template.nodes:
        _change(node)
    return template


def _change(found: Any) -> None:
    for kind in type(found).__mro__:
        for slot in getattr(kind, "__slots__", ()):
            value = getattr(found, slot, None)
            for one in value if isinstance(value, list) else (value,):
                if isinstance(one, (Node, Expression)) or type(one).__name__ in _HOLDERS:
                    _change(one)
            if type(value) is Blank:
                setattr(found, slot, _Blank(value.token))
            elif isinstance(value, _ORDERS):
                setattr(found, slot, _Order(value))


_ORDERS = (LtExpression, GtExpression, LeExpression, GeExpression)


_HOLDERS = ("Filter", "PositionalArgument", "KeywordArgument")


class AbortNode(Node):
    def __init__(self, token: Token, reason: str) -> None:
        super().__init__(token)
        self.reason = reason
        self.blank = False

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> NoReturn:
        raise Aborted(self.reason, self.token)


class _AbortTag(Tag):
    name, block = "abort_message", False

    def parse(self, stream: TokenStream) -> Node:
        token = stream.eat(TOKEN_TAG)
        return AbortNode(token, _expression(stream).strip(" ()\n\t'\""))


class CallNode(Node):
    """`{% connected_content URL :save NAME … %}`; nothing is called here."""

    def __init__(self, token: Token, url: str, options: Mapping[str, str]) -> None:
        super().__init__(token)
        self.url = url
        self.options = options

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return 0


class _CallTag(Tag):
    name, block = "connected_content", False

    def parse(self, stream: TokenStream) -> Node:
        token = stream.eat(TOKEN_TAG)
        url, *options = re.split(r"\s+:(?=[a-z])", _expression(stream).strip())
        return CallNode(token, url, {key: value for key, _, value in (o.partition(" ") for o in options)})


class SilentNode(Node):
    """A tag that takes a text from elsewhere, which is not here."""

    def __init__(self, token: Token, tag: str, expression: str) -> None:
        super().__init__(token)
        self.tag = tag
        self.expression = expression

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return 0


def _parse_silent(self: Tag, stream: TokenStream) -> Node:
    token = stream.eat(TOKEN_TAG)
    return SilentNode(token, self.name, _expression(stream))


class _Include(IncludeTag):
    parse = _parse_silent


class _Render(RenderTag):
    parse = _parse_silent


def _expression(stream: TokenStream) -> str:
    return stream.current.value if stream.current.kind == TOKEN_EXPRESSION else ""


def _hash(name: str) -> Callable[[object], str]:
    return lambda value: hashlib.new(name, _text(value).encode(), usedforsecurity=False).hexdigest()


def _hmac(name: str, *, is_hex: bool) -> Callable[[object, object], str]:
    def run(value: object, key: object) -> str:
        found = hmac.new(_text(key).encode(), _text(value).encode(), name)
        return found.hexdigest() if is_hex else base64.b64encode(found.digest()).decode()

    return run


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _moment(value: object) -> datetime:
    """Errors: ValueError, OverflowError."""
    if isinstance(value, datetime):
        return value
    text = _text(value).strip()
    if text in ("now", "today"):
        return _NOW.get()
    return datetime.fromtimestamp(int(text), UTC) if text.lstrip("-").isdigit() else dates.parse(text)


def _date(value: object, form: object = "") -> str:
    """As Liquid's: a blank prints nothing, and what is no time stays as it is."""
    if not _text(value).strip() or not _text(form):
        return _text(value)
    try:
        at = _moment(value)
        if _text(form) == "%s":
            return str(int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()))
        return at.strftime(_text(form))
    except (ValueError, OverflowError, OSError):
        return _text(value)


def _in_zone(value: object, zone: object) -> object:
    """Braze's time_zone: the same instant on another clock; what it cannot read stays as it is."""
    try:
        at = _moment(value)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(ZoneInfo(_text(zone)))
    except (ValueError, OverflowError, OSError, KeyError):
        return value


def _with_delimiter(value: object) -> str:
    whole, point, rest = _text(value).partition(".")
    return f"{int(whole):,}{point}{rest}" if whole.lstrip("-").isdigit() else _text(value)


def _first_words(value: object, count: object = 15, end: object = "...") -> str:
    """As Liquid's truncatewords: the end is put only where something was cut off."""
    text, most = _text(value), max(int(str(count)), 1)
    words = text.split()
    return text if len(words) <= most else " ".join(words[:most]) + _text(end)


_OF_NOTHING = (
    "slice",
    "join",
    "uniq",
    "sort",
    "sort_natural",
    "reverse",
    "compact",
    "map",
    "where",
    "concat",
)


def _without_none(run: Callable[..., object]) -> Callable[..., object]:
    @wraps(run)
    def bounded(value: object, *given: Any, **named: Any) -> object:
        return "" if value is None else run(value, *given, **named)

    return bounded


_FILTERS: dict[str, Callable[..., object]] = {
    "md5": _hash("md5"),
    "sha1": _hash("sha1"),
    "sha2": _hash("sha256"),
    "hmac_sha1_hex": _hmac("sha1", is_hex=True),
    "hmac_sha256_hex": _hmac("sha256", is_hex=True),
    "hmac_sha1_base64": _hmac("sha1", is_hex=False),
    "hmac_sha256_base64": _hmac("sha256", is_hex=False),
    "json_escape": lambda value: json.dumps(_text(value), ensure_ascii=False)[1:-1],
    "as_json_string": lambda value: json.dumps(value, ensure_ascii=False, default=str),
    "json_parse": lambda value: json.loads(_text(value)),
    "url_param_escape": lambda value: quote(_text(value), safe=""),
    "url_escape": lambda value: quote(_text(value), safe=":/?&=#"),
    "property_accessor": lambda value, key: value.get(key) if isinstance(value, dict) else None,
    "time_zone": _in_zone,
    "date": _date,
    "number_with_delimiter": _with_delimiter,
    "truncatewords": _first_words,
}


class _Environment(Environment):
    loop_iteration_limit = 10_000
    output_stream_limit = 1_000_000
    local_namespace_limit = 2_000_000


def _environment() -> _Environment:
    # A filter that is not known is told of by the import, and prints its value as it came.
    made = _Environment(extra=False, strict_filters=False)
    for tag in (_AbortTag, _CallTag, _Include, _Render):
        made.add_tag(tag)
    for name, run in _FILTERS.items():
        made.add_filter(name, run)
    for name in _OF_NOTHING:  # python-liquid writes None there, and Braze nothing
        made.add_filter(name, _without_none(made.filters[name]))
    return made


_ENVIRONMENT = _environment()
KNOWN_FILTERS = frozenset(_ENVIRONMENT.filters)
_UNEXPECTED_TAG = re.compile(r"unexpected tag '([^']*)'")
_UNCLOSED = re.compile(r"expected tag (end\w+)")


def _words(error: LiquidError, text: str) -> str:
    """What python-liquid says, for whoever wrote the body in Braze."""
    said = str(error.message or error)
    if found := _UNEXPECTED_TAG.search(said):
        tag = found[1]
        if tag.startswith("end") or tag in ("else", "elsif", "when"):
            return f'the tag "{tag}" stands in the wrong place: nothing is open there that it belongs to'
        near = nearest(tag, sorted(_TAGS), 1)
        return f'there is no tag "{tag}"' + (f'; did you mean "{near[0]}"?' if near else "")
    if found := _UNCLOSED.search(said):
        opened = found[1].removeprefix("end")
        count = {tag: len(re.findall(rf"\{{%-?\s*{tag}\b", text)) for tag in (opened, found[1])}
        return (
            f"{{% {opened} %}} stands there {count[opened]} times, {{% {found[1]} %}} {count[found[1]]} times"
        )
    if "end of file" in said or "missing tag name" in said:
        return "something that was opened here, {{ or {%, is not closed"
    if any(mark in text for mark in "“”‘’„") and isinstance(error, LiquidSyntaxError):
        return f"{said} (curly quotes, as word processors make them, are no quotes in Liquid: write ' or \")"
    return said


_TAGS = {name for name in _ENVIRONMENT.tags if name.isidentifier() and name.islower()}
