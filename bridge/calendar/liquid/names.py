"""The template's variables: a name, a type, a default and an example for each value that Braze knows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bridge.calendar.engine.declarations import RESERVED
from bridge.calendar.liquid import tree
from bridge.calendar.liquid.tree import (
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
    Part,
)

# What the bridge reads itself, from the webhook's own fields.
USER_ID = Known("", "user_id")
BRIDGES = frozenset(
    {
        USER_ID,
        Known("custom_attribute", "rokt:subscription_id"),
        Known("custom_attribute", "rokt:account_code"),
        Known("custom_attribute", "rokt:calendar_code"),
    }
)
TIMES = ("start", "end", "visible_from")
# Blocks that cannot do without what they print.
NEEDED_IN = ("event_id", "start", "end", "timezone")
NEEDED = "start"  # a name that the body sets and one of them prints

TIME_FILTERS = ("date", "time_zone")
NUMBER_FILTERS = (
    *("plus", "minus", "times", "divided_by", "modulo", "round", "ceil", "floor", "abs"),
    *("at_least", "at_most", "number_with_delimiter"),
)
LIST_FILTERS = (
    "join",
    "first",
    "last",
    "sort",
    "sort_natural",
    "uniq",
    "map",
    "where",
    "compact",
    "reverse",
    "concat",
    "sum",
)


@dataclass
class Variable:
    """What is known of one variable. `texts`: what it is compared with; `asks`: it is asked whether it is there.

    `is_key`: the event's id is made of it; `is_needed`: a block that cannot be blank is.
    """

    known: Known
    name: str
    is_number: bool = False
    is_yes_no: bool = False
    is_time: bool = False
    is_instant: bool = False
    is_list: bool = False
    is_printed: bool = False
    is_needed: bool = False
    is_key: bool = False
    asks: bool = False
    texts: list[str] = field(default_factory=list)
    numbers: list[int | float] = field(default_factory=list)
    defaults: list[str | None] = field(default_factory=list)
    example: str = ""

    @property
    def type(self) -> str:
        if self.is_list:
            return "text"
        if self.is_time and not self.is_printed and not self.texts and not self.is_number:
            return "time"
        if self.is_number and not self.texts:
            return "number"
        return "yes/no" if self.is_yes_no and not self.texts and not self.is_printed else "text"

    @property
    def default(self) -> str | None:
        """The one default that all uses have in common: it is declared, and the filter goes."""
        found = set(self.defaults)
        fits = len(found) == 1 and not self.asks and not self.is_list
        return self.defaults[0] if fits and _fits_a_line(self.defaults[0]) else None

    @property
    def is_required(self) -> bool:
        return self.is_needed and not self.asks and self.default is None

    @property
    def is_optional(self) -> bool:
        """Whether it can be blank while the template runs."""
        return not self.is_required and self.default is None


class Names:
    """All variables of one template, by what Braze calls them, and the names that the body sets itself."""

    def __init__(self) -> None:
        self.variables: dict[Known, Variable] = {}
        self.locals: dict[str, str] = {}

    def variable(self, known: Known) -> Variable:
        if known not in self.variables:
            self.variables[known] = Variable(known, self._free(_slug(known), _where(known)))
        return self.variables[known]

    def local(self, name: str) -> str:
        """The name in the template of one that the body sets."""
        if name not in self.locals:
            self.locals[name] = self._free(_snake(name), "own")
        return self.locals[name]

    def _free(self, name: str, prefix: str) -> str:
        taken = {variable.name for variable in self.variables.values()} | set(self.locals.values()) | RESERVED
        free = name if name not in taken else f"{prefix}_{name}"
        number = 2
        while free in taken:
            free, number = f"{prefix}_{name}_{number}", number + 1
        return free

    def see(self, nodes: Nodes, block: str) -> None:
        """Learn from all uses in a block; "" is the top level."""
        if block == "event_id":
            values = [value for node in tree.walk(nodes) for value in tree.expressions_of(node)]
            for known in {part for value in values for part in tree.every(value) if isinstance(part, Known)}:
                self.variable(known).is_key = True
        for node in tree.walk(nodes):
            if isinstance(node, Output):
                self._see_output(node, nodes, block)
            elif isinstance(node, For):
                if isinstance(node.items, Known):
                    self.variable(node.items).is_list = True
                    continue
                self._see(node.items, block)
            else:
                for value in tree.expressions_of(node):
                    self._see(value, block, is_question=isinstance(node, If))

    def _see_output(self, node: Output, around: Nodes, block: str) -> None:
        known = without_default(node.value)
        if isinstance(known, Known) and known.kind == "content_blocks":
            return
        if isinstance(known, Known) and block == "notify_before" and _stands_alone(node, around):
            self.variable(known).is_number = True
            self.variable(known).example = "15"
            self._note_default(node.value, self.variable(known))
            return
        if isinstance(known, Known) and block == "title" and _stands_alone(node, around):
            self.variable(known).is_needed = known is node.value
        if isinstance(known, Known) and block in TIMES and _stands_alone(node, around):
            variable = self.variable(known)
            variable.is_time = True
            variable.is_needed = variable.is_needed or (block == "start" and known is node.value)
            self._note_default(node.value, variable)
            return
        if isinstance(known, Known) and block in TIMES:
            self.variable(known).example = self.variable(known).example or _part_of_time(node, around)
        self._see(node.value, block)

    def _see(self, value: Expression, block: str, *, is_question: bool = False) -> None:
        if isinstance(value, Known):
            variable = self.variable(value)
            variable.defaults.append(None)
            variable.asks = variable.asks or is_question
            variable.is_printed = variable.is_printed or not is_question
            variable.is_needed = variable.is_needed or (block in NEEDED_IN and not is_question)
        elif isinstance(value, Filtered):
            self._see_filtered(value, block)
        elif isinstance(value, (Not, IsBlank)):
            self._see(value.operand, block, is_question=True)
        elif isinstance(value, Both):
            self._see_both(value, block, is_question=is_question)
        elif isinstance(value, Part):
            if isinstance(value.base, Known):
                self.variable(value.base).is_list = True
            else:
                self._see(value.base, block)
        else:
            for part in tree.parts_of(value):
                self._see(part, block)

    def _see_filtered(self, value: Filtered, block: str) -> None:
        for arg in value.args:
            self._see(arg, block)
        known = without_default(value)
        if isinstance(known, Known):  # a bare default
            variable = self.variable(known)
            variable.is_printed = True
            self._note_default(value, variable)
            return
        base = without_default(value.base)
        if not isinstance(base, Known):
            self._see(value.base, block)
            return
        variable = self.variable(base)
        self._note_default(value.base, variable)
        has_default = value.base is not base
        variable.is_needed = variable.is_needed or (block in NEEDED_IN and not has_default)
        if value.name in TIME_FILTERS:
            variable.is_time = True
            variable.is_instant = variable.is_instant or value.name == "time_zone"
        elif value.name in NUMBER_FILTERS:
            variable.is_number = True
        elif value.name in LIST_FILTERS:
            variable.is_list = True
        else:
            variable.is_printed = True

    def _see_both(self, value: Both, block: str, *, is_question: bool) -> None:
        if value.operator in ("and", "or"):
            self._see(value.left, block, is_question=True)
            self._see(value.right, block, is_question=True)
            return
        for one, other in ((value.left, value.right), (value.right, value.left)):
            known = without_default(one)
            if not isinstance(known, Known):
                self._see(one, block)
                continue
            variable = self.variable(known)
            self._note_default(one, variable)
            if not isinstance(other, Literal):
                continue
            if isinstance(other.value, bool):
                variable.is_yes_no = True
            elif isinstance(other.value, (int, float)):
                variable.is_number = True
                variable.numbers.append(other.value)
            elif isinstance(other.value, str):
                variable.texts.append(other.value)

    def _note_default(self, value: Expression, variable: Variable) -> None:
        found = value.args[0] if isinstance(value, Filtered) and value.args else None
        is_plain = (
            isinstance(found, Literal) and found.value is not None and not isinstance(found.value, bool)
        )
        variable.defaults.append(str(found.value) if is_plain and isinstance(found, Literal) else None)


def without_default(value: Expression) -> Expression:
    """The value before `| default: …`."""
    return value.base if isinstance(value, Filtered) and value.name == "default" else value


def is_bridges(value: Expression) -> bool:
    """Whether a value comes from nothing but what the bridge reads itself."""
    parts = list(tree.every(value))
    knowns = [part for part in parts if isinstance(part, Known)]
    return bool(knowns) and all(k in BRIDGES for k in knowns) and not any(isinstance(p, Local) for p in parts)


def _fits_a_line(default: str | None) -> bool:
    return default is not None and len(default) < 200 and not re.search(r"[\"“”\n\r]|#\}", default)


def _stands_alone(node: Output, nodes: Nodes) -> bool:
    """Whether an output is all that a block prints, on any way through its conditions."""
    for within in _lists(nodes):
        if any(one is node for one in within):
            return all(one is node or (isinstance(one, tree.Text) and not one.text.strip()) for one in within)
    return False


def _lists(nodes: Nodes) -> list[Nodes]:
    return [nodes, *(found for node in nodes for within in tree.inside(node) for found in _lists(within))]


def _part_of_time(node: Output, nodes: Nodes) -> str:
    """An example for a part of a time, by what stands beside it: {{day}}T{{hour}}:00."""
    for within in _lists(nodes):
        for place, one in enumerate(within):
            if one is node:
                before, after = _text(within, place - 1), _text(within, place + 1)
                if after.startswith("T") or (not before and not after):
                    return "2027-03-05"
                if before.endswith(("T", " ")):
                    return "18" if after.count(":") > 1 else "18:30" if ":" in after else "18:30:00"
                return "30"
    return ""


def _text(nodes: Nodes, place: int) -> str:
    found: Node | None = nodes[place] if 0 <= place < len(nodes) else None
    return found.text if isinstance(found, tree.Text) else ""


_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _snake(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "_", _CAMEL.sub("_", name)).strip("_").lower()
    return plain if plain and not plain[0].isdigit() else f"value_{plain}".rstrip("_")


def _slug(known: Known) -> str:
    if known == USER_ID:
        return "external_id"  # user_id is a word of the bridge's own
    prefix = f"{known.kind}_" if known.kind in ("campaign", "canvas") else ""
    return _snake(f"{prefix}{known.name}{known.path}")


def _where(known: Known) -> str:
    return {"custom_attribute": "attribute", "event_properties": "event", "": "user"}.get(known.kind, "braze")
