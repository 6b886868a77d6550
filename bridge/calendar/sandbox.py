"""The restricted Jinja in which a marketer's template runs.

A template reaches the values that it was given, the filters of FILTERS and nothing of Python: attributes come from
a table for each type, only what the table lets through can be called, and each step counts against the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import jinja2
from jinja2 import Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.environment import TemplateModule
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from bridge.calendar import operators
from bridge.calendar import text_filters as texts
from bridge.calendar.budget import MAX_ITEMS, check_count, current, made
from bridge.calendar.faults import Refusal, did_you_mean
from bridge.calendar.filters import FILTERS, TESTS
from bridge.calendar.lines import LINE_START, TAG_LINE_END, Mark, join, split_data
from bridge.calendar.list_filters import join as join_list
from bridge.calendar.times import Time, UnreadTime
from bridge.calendar.values import Blank, Missing, as_text, as_whole, describe, read_number

# A filter that wraps what a loop runs over; no template can write its name.
EACH = "each item"


class Method:
    """A function that a template may call."""

    __slots__ = ("_run",)

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run

    def __call__(self, *args: Any, **named: Any) -> Any:
        return made(self._run(*args, **named))


class Each:
    """What a loop runs over; every round counts against the budget."""

    __slots__ = ("_items",)

    def __init__(self, items: list[Any] | tuple[Any, ...] | range | dict[Any, Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        tick = current().tick
        for item in self._items:
            tick()
            yield item


def each(value: object) -> Each:
    """The items of a list or the keys of an object; a blank has none. Refusal for a text, a number, a time."""
    if isinstance(value, (list, tuple, range, dict)):
        return Each(value)
    if isinstance(value, Each):
        return value
    if isinstance(value, Missing):
        as_text(value)
    if isinstance(value, Blank) or value is None or value == "":
        return Each(())
    hint = ': split it first, | split(",")' if isinstance(value, str) else ""
    raise Refusal(f"{describe(value)} is no list that a loop could run over{hint}")


class Generator(CodeGenerator):
    """Compiles a template so that printing, comparing, joining and making lists go through the sandbox."""

    # Inheritance is worked out before: see compiling.py. To the generator no block is printed at the top level.
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.has_known_extends = True

    def write_commons(self) -> None:
        super().write_commons()
        for name in ("show", "tag_line_end", "line_start"):
            self.writeline(f"{name} = environment.{name}")

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:
        for child in node.nodes:
            if isinstance(child, nodes.TemplateData):
                for piece in split_data(child.data):
                    self.simple_write(_MARKS[piece] if isinstance(piece, Mark) else repr(piece), frame, child)
            else:
                self.start_write(frame, child)
                self.write("show(")
                self.visit(child, frame)
                self.write(")")
                self.end_write(frame)

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:
        if isinstance(node.value, float):
            self.write(f"environment.number({str(node.value)!r})")
        else:
            super().visit_Const(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self._write_call("environment.join_texts", node.nodes, frame)

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        if len(node.ops) == 1:
            self.write("environment.compare(")
            self.visit(node.expr, frame)
            self.write(f", {node.ops[0].op!r}, ")
            self.visit(node.ops[0].expr, frame)
            self.write(")")
            return
        self.write("environment.compare_all(")
        self.visit(node.expr, frame)
        for operand in node.ops:
            self.write(f", ({operand.op!r}, ")
            self.visit(operand.expr, frame)
            self.write(")")
        self.write(")")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        part = node.arg
        none = nodes.Const(None)
        bounds = [part.start or none, part.stop or none, part.step or none]
        self._write_call("environment.cut", [node.node, *bounds], frame)

    def visit_List(self, node: nodes.List, frame: Frame) -> None:
        self._write_made(super().visit_List, node, node.items, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:
        if node.ctx == "load":
            self._write_made(super().visit_Tuple, node, node.items, frame)
        else:
            super().visit_Tuple(node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        parts = [part for pair in node.items for part in (pair.key, pair.value)]
        self._write_made(super().visit_Dict, node, parts, frame)

    def _write_made(self, write: Callable[..., None], node: Any, parts: list[Any], frame: Frame) -> None:
        is_constant = all(isinstance(part, nodes.Const) for part in parts)
        self.write("" if is_constant else "environment.made(")
        write(node, frame)
        self.write("" if is_constant else ")")

    def _write_call(self, function: str, args: list[Any], frame: Frame) -> None:
        self.write(f"{function}(")
        for arg in args:
            self.visit(arg, frame)
            self.write(", ")
        self.write(")")


_MARKS = {TAG_LINE_END: "tag_line_end", LINE_START: "line_start"}


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of one compiled template; `pieces` are the shared pieces that it includes, by name."""

    code_generator_class = Generator
    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))
    intercepted_unops = frozenset(("+", "-"))

    concat = staticmethod(join)
    show = staticmethod(as_text)
    number = staticmethod(read_number)
    made = staticmethod(made)
    compare = staticmethod(operators.compare)
    compare_all = staticmethod(operators.compare_all)
    tag_line_end = TAG_LINE_END
    line_start = LINE_START

    def __init__(self) -> None:
        super().__init__(undefined=Missing, optimized=False, cache_size=0, auto_reload=False)
        self.filters = {**FILTERS, EACH: each}
        self.tests = dict(TESTS)
        self.globals = dict(GLOBALS)
        self.pieces: dict[str, jinja2.Template] = {}

    def get_template(self, name: Any, parent: str | None = None, globals: Any = None) -> jinja2.Template:
        if name not in self.pieces:
            raise jinja2.TemplateNotFound(name)
        return self.pieces[name]

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return operators.binary(operator, left, right)

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        return operators.unary(operator, arg)

    def join_texts(self, *values: object) -> str:
        return join([as_text(value) for value in values])

    def cut(self, value: Any, start: Any, stop: Any, step: Any) -> Any:
        """`value[start:stop:step]` of a text or a list."""
        if not isinstance(value, (str, list, tuple)):
            as_text(value) if isinstance(value, Missing) else None
            raise Refusal(f"{describe(value)} has no parts to take")
        bounds = [None if bound is None else as_whole(bound) for bound in (start, stop, step)]
        if bounds[2] == 0:
            raise Refusal("a step of 0 goes nowhere")
        if not isinstance(value, str):
            check_count(len(value))
        return made(value[slice(*bounds)])

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self._attribute(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, dict) and type(argument) in _KEYS and argument in obj:
            return obj[argument]
        if isinstance(obj, (list, tuple, str)) and not isinstance(argument, str):
            index = as_whole(argument)
            return obj[index] if -len(obj) <= index < len(obj) else Missing(obj=obj, name=index)
        return self._attribute(obj, as_text(argument))

    def _attribute(self, obj: Any, name: str) -> Any:
        if name.startswith("_"):
            raise Refusal(f'"{name[:60]}" is out of reach for a template', "unknown name")
        if isinstance(obj, dict) and name in obj:
            return obj[name]
        for kind, attributes in _ATTRIBUTES:
            if isinstance(obj, kind):
                if name in attributes:
                    return attributes[name](obj)
                break
        else:
            attributes = {}
        return self._lookup(obj, name, attributes)

    def _lookup(self, obj: Any, name: str, attributes: Mapping[str, Any]) -> Any:
        if isinstance(obj, (Missing, UnreadTime)):
            as_text(obj)
        if isinstance(obj, Namespace):
            return getattr(obj, name, Missing(f'nothing was set as "{name}"', name=name))
        if isinstance(obj, TemplateModule) and name in obj.__dict__:
            return obj.__dict__[name]
        if isinstance(obj, TemplateReference):
            try:
                return obj[name]
            except KeyError:
                raise Refusal(f'there is no block "{name}"', "unknown block") from None
        if isinstance(obj, dict):
            return Missing(obj=obj, name=name)
        return Missing(f'{describe(obj)} has no "{name}"{did_you_mean(name, attributes)}', name=name)

    def call(__self, __context: Context, __obj: Any, *args: Any, **named: Any) -> Any:  # noqa: N805
        named.pop("_loop_vars", None)
        named.pop("_block_vars", None)
        if isinstance(__obj, Undefined):
            return __obj()
        if not isinstance(__obj, (Method, Macro, BlockReference, LoopContext)):
            raise Refusal(f"{describe(__obj)} is nothing that can be called")
        if isinstance(__obj, LoopContext):
            args = tuple(each(value) for value in args)
        budget = current()
        budget.enter()
        try:
            return __obj(*args, **named)
        finally:
            budget.depth -= 1


_KEYS = (str, int, bool, Decimal, date)


def bounded_range(*bounds: object) -> range:
    """Whole numbers from, to, by: at most as many as a list may have."""
    if not 1 <= len(bounds) <= 3:
        raise Refusal("range takes one to three numbers")
    numbers = range(*(as_whole(bound) for bound in bounds))
    if len(numbers[: MAX_ITEMS + 1]) > MAX_ITEMS:
        raise Refusal(f"range has more than {MAX_ITEMS:,} numbers", "result too large")
    return numbers


def namespace(**values: Any) -> Namespace:
    """What a loop may write into: `{% set ns = namespace(count=0) %}`."""
    return Namespace(**values)


GLOBALS: Mapping[str, Any] = {
    "range": Method(bounded_range),
    "namespace": Method(namespace),
    "dict": Method(lambda **values: values),
}


def _text_method(run: Callable[..., Any]) -> Callable[[Any], Method]:
    return lambda text: Method(lambda *args, **named: run(text, *args, **named))


def _plain(name: str) -> Callable[[Any], Any]:
    return lambda obj: getattr(obj, name)


def _bound(name: str) -> Callable[[Any], Method]:
    return lambda obj: Method(getattr(obj, name))


_ATTRIBUTES: tuple[tuple[type, Mapping[str, Callable[[Any], Any]]], ...] = (
    (
        str,
        {
            "upper": _text_method(texts.upper),
            "lower": _text_method(texts.lower),
            "title": _text_method(texts.title),
            "capitalize": _text_method(texts.capitalize),
            "strip": _text_method(texts.strip),
            "lstrip": _text_method(texts.lstrip),
            "rstrip": _text_method(texts.rstrip),
            "replace": _text_method(texts.replace),
            "split": _text_method(texts.split),
            "startswith": _text_method(lambda text, start: text.startswith(as_text(start))),
            "endswith": _text_method(lambda text, end: text.endswith(as_text(end))),
            "join": _text_method(lambda text, items: join_list(None, items, text)),
            "size": len,
        },
    ),
    (
        dict,
        {
            "items": lambda obj: Method(lambda: list(obj.items())),
            "keys": lambda obj: Method(lambda: list(obj)),
            "values": lambda obj: Method(lambda: list(obj.values())),
            "get": lambda obj: Method(lambda key, instead=None: obj.get(as_text(key), instead)),
            "size": len,
        },
    ),
    (list, {"first": lambda obj: obj[0], "last": lambda obj: obj[-1], "size": len}),
    (tuple, {"size": len}),
    (
        Time,
        {
            name: (lambda part: lambda time: getattr(time.at, part))(name)
            for name in ("year", "month", "day", "hour", "minute")
        },
    ),
    (date, {name: _plain(name) for name in ("year", "month", "day")}),
    (
        LoopContext,
        {
            **{
                name: _plain(name)
                for name in (
                    *(
                        "index",
                        "index0",
                        "revindex",
                        "revindex0",
                        "first",
                        "last",
                        "length",
                        "depth",
                        "depth0",
                    ),
                    *("previtem", "nextitem"),
                )
            },
            "cycle": _bound("cycle"),
            "changed": _bound("changed"),
        },
    ),
    (BlockReference, {"super": _plain("super")}),
)
