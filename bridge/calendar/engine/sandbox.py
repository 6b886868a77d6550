"""The restricted Jinja in which a marketer's template runs.

A template reaches the values that it was given, the filters of FILTERS and nothing of Python: attributes come from
a table for each type, only what that table lets through can be called, and each step counts against the budget.
"""

from __future__ import annotations

from typing import Any

import jinja2
from jinja2 import Undefined
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bridge.calendar.engine import operators, reach
from bridge.calendar.engine.budget import current, made
from bridge.calendar.engine.faults import Refusal
from bridge.calendar.engine.filters import FILTERS, TESTS
from bridge.calendar.engine.generator import Generator
from bridge.calendar.engine.lines import LINE_START, TAG_LINE_END, join
from bridge.calendar.engine.reach import EACH, GLOBALS, Method, each
from bridge.calendar.engine.values import Missing, as_text, describe, read_number


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
    part = staticmethod(reach.part)
    tag_line_end = TAG_LINE_END
    line_start = LINE_START

    def __init__(self) -> None:
        super().__init__(undefined=Missing, optimized=False, cache_size=0, auto_reload=False)
        self.filters = {**FILTERS, EACH: each}
        self.tests = dict(TESTS)
        self.globals = dict(GLOBALS)
        self.pieces: dict[str, jinja2.Template] = {}

    def get_template(self, name: Any, parent: Any = None, globals: Any = None) -> jinja2.Template:  # noqa: A002
        current().tick()  # pieces that include pieces multiply without any loop
        if name not in self.pieces:
            raise jinja2.TemplateNotFound(name)
        return self.pieces[name]

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return operators.binary(operator, left, right)

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        return operators.unary(operator, arg)

    def join_texts(self, *values: object) -> str:
        return join([as_text(value) for value in values])

    def getattr(self, obj: Any, attribute: str) -> Any:
        return reach.attribute(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return reach.item(obj, argument)

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
