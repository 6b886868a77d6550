"""The Python that a template becomes: printing, comparing, joining and making lists go through the sandbox."""

# ruff: noqa: N802 - the names of the visit methods are Jinja's

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame

from bridge.calendar.engine.lines import LINE_START, TAG_LINE_END, Mark, split_data


class Generator(CodeGenerator):
    """Jinja's generator, whose templates call `environment` for all that can print, compare or grow."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        # Each block is printed by itself, as a field: the top level never prints one.
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
        self._write_call("environment.part", [node.node, *bounds], frame)

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
