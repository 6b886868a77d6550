"""The template as a marketer would write it: a head, what is set, and a block for each field."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce

from bridge.calendar.liquid import tree
from bridge.calendar.liquid.expressions import AS_TIME, Expressions, Guards
from bridge.calendar.liquid.names import NEEDED, NEEDED_IN, TIMES, Names, Variable
from bridge.calendar.liquid.results import Note
from bridge.calendar.liquid.simplify import Simple
from bridge.calendar.liquid.tree import (
    Abort,
    Both,
    Comment,
    Expression,
    Filtered,
    For,
    If,
    Known,
    Literal,
    Local,
    Node,
    Nodes,
    NoEqual,
    Not,
    Output,
    Set,
    SetText,
    Text,
    Uses,
)

# The order in which a template is read: what it is, what it says, when it is.
ORDER = (
    *("skip", "event_id", "title", "location", "description", "start", "end", "all_day", "timezone"),
    *("notify_before", "visible_from"),
)
EXAMPLES = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email_address": "ada@example.com",
    "phone_number": "+4930123456",
    "language": "en",
    "country": "GB",
    "city": "London",
    "home_city": "London",
    "time_zone": "Europe/Berlin",
    "timezone": "Europe/Berlin",
    "gender": "F",
    "currency": "EUR",
    "external_id": "u-1",
}


def example_of(variable: Variable, block: str = "") -> str:
    """A value that fits what is known of a variable."""
    if variable.example:
        return variable.example
    if variable.type == "time":
        return "2027-03-05T18:30:00Z" if variable.is_instant else "2027-03-05T18:30:00"
    if variable.type == "number":
        return str(variable.numbers[0]) if variable.numbers else "50"
    if variable.type == "yes/no":
        return "yes"
    if variable.is_time:
        return "2027-03-05T18:30:00"
    if variable.texts:
        return variable.texts[0]
    plain = EXAMPLES.get(variable.name) or variable.name.replace("_", " ").capitalize()
    return f"{plain} 1,{plain} 2" if variable.is_list else plain


@dataclass
class Written:
    source: str
    notes: list[Note]
    blocks: dict[str, Nodes] = field(default_factory=dict)


def write(simple: Simple, names: Names, purpose: str) -> Written:
    """The whole template."""
    simple.blocks |= {name: plain_times(simple.blocks[name]) for name in TIMES if name in simple.blocks}
    for name, nodes in simple.blocks.items():
        names.see(nodes, name)
    names.see(simple.aborts, "skip")
    needed = _needed_locals(simple)
    for statement in simple.statements:
        is_needed = isinstance(statement, (Set, SetText)) and statement.name in needed
        names.see((statement,), NEEDED if is_needed else "")
    for known in _timezones(simple.blocks.get("timezone", ())):
        names.variable(known).example = "Europe/Berlin"
    writer = _Writer(Expressions(names), simple)
    statements = writer.beside(simple.beside) + writer.collections() + writer.statements(simple.statements)
    blocks = [
        _block(name, writer.text(simple.aborts if name == "skip" else simple.blocks[name]))
        for name in ORDER
        if name in simple.blocks or (name == "skip" and simple.aborts)
    ]
    # Only now is known what each variable is used for.
    source = (
        _head(purpose, names) + "\n" + (statements + "\n" if statements else "") + "\n".join(blocks) + "\n"
    )
    return Written(source, writer.notes, simple.blocks)


def plain_times(nodes: Nodes) -> Nodes:
    """Times as they are: a block of a time reads them, and needs no form like %Y-%m-%dT%H:%M:%S."""

    def change(node: Node) -> Nodes:
        if isinstance(node, Output) and isinstance(node.value, Filtered) and _is_plain_time(node.value):
            plain = node.value.base
            if isinstance(plain, Filtered) and plain.name == "date":
                plain = plain.base
            is_moved = isinstance(plain, Filtered) and plain.name != "default"
            return (replace(node, value=Filtered(plain, AS_TIME, (), node.line) if is_moved else plain),)
        return (node,)

    return tree.rebuilt(nodes, change, lambda value: value) if len(nodes) == 1 else nodes


def _is_plain_time(value: Filtered) -> bool:
    """Whether it is only the form of a time that Braze sends, moved or not."""
    rest: Expression = value.base
    while isinstance(rest, Filtered):
        if rest.name not in ("default", "date", "plus", "minus") or not isinstance(rest.args[0], Literal):
            return False
        rest = rest.base
    return isinstance(rest, Known) and value.name == "date" and value.args in _ISO


_ISO = tuple((Literal(form),) for form in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%FT%T", "%FT%R"))


def _needed_locals(simple: Simple) -> set[str]:
    """The names that go into what no event can do without."""
    outputs = [
        node
        for name in NEEDED_IN
        for node in tree.walk(simple.blocks.get(name, ()))
        if isinstance(node, (Output, SetText))
    ]
    return set(Uses().add(tuple(outputs)).reads)


def _timezones(nodes: Nodes) -> list[Known]:
    values = [
        value for node in tree.walk(nodes) for value in tree.expressions_of(node) if isinstance(node, Output)
    ]
    return [part for value in values for part in tree.every(value) if isinstance(part, Known)]


def _head(purpose: str, names: Names) -> str:
    rows = [_row(variable) for variable in names.variables.values()]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = [
        "   ".join(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)).rstrip()
        for row in rows
    ]
    declared = "\n" + "\n".join(lines) + "\n" if lines else ""
    return f"{{#\n{_in_comment(purpose)}\n{declared}#}}"


def _row(variable: Variable) -> tuple[str, str, str, str]:
    default = variable.default
    if default is not None:
        said = f'default "{default}"'
    elif variable.is_required:
        said = "required"
    else:
        said = 'default ""' if variable.type == "text" else "optional"
    kind = "" if variable.type == "text" else f", {variable.type}"
    example = _in_comment(example_of(variable)).replace("\n", " ")
    how = ", with commas between" if variable.is_list else ""
    return variable.name, said + kind, f"e.g. {example}", f"({variable.known.written}{how})"


def _block(name: str, text: str) -> str:
    text = text.strip("\n") if "\n" in text.strip() else text.strip()
    if "\n" in text:
        return f"\n{{% block {name} %}}\n{text}\n{{% endblock %}}\n"
    return f"{{% block {name} %}}{text}{{% endblock %}}"


class _Writer:
    def __init__(self, expressions: Expressions, simple: Simple) -> None:
        self._expressions = expressions
        everything = (
            *simple.statements,
            *simple.aborts,
            *(node for b in simple.blocks.values() for node in b),
        )
        expressions.known |= set(Uses().add(everything).writes)
        for node in tree.walk(everything):
            if isinstance(node, For):
                expressions.collected |= {
                    n.name for n in tree.walk(node.nodes) if isinstance(n, (Set, SetText))
                }

    @property
    def notes(self) -> list[Note]:
        return self._expressions.notes

    def beside(self, nodes: Nodes) -> str:
        """What stands around the JSON, for whoever reads the template."""
        lines = [self._node(node, frozenset()) for node in nodes]
        return "".join(f"{line}\n" for line in lines if line)

    def collections(self) -> str:
        """Where the loops keep what they collect."""
        kept = sorted(self._expressions.collected)
        if not kept:
            return ""
        names = ", ".join(f'{self._expressions.names.local(name)}=""' for name in kept)
        return f"{{% set {self._expressions.collection} = namespace({names}) %}}\n"

    def statements(self, nodes: Nodes, indent: str = "") -> str:
        """The top level, a line for each statement."""
        lines: list[str] = []
        for node in nodes:
            if isinstance(node, Set):
                lines.append(indent + self._set(node))
            elif isinstance(node, SetText):
                lines.append(indent + self._set_text(node))
            elif isinstance(node, If):
                for number, (condition, within) in enumerate(node.branches):
                    word = "elif" if number else "if"
                    lines.append(f"{indent}{{% {word} {self._expressions.condition(condition)} %}}")
                    lines.append(self.statements(within, indent + "  ").rstrip("\n"))
                if node.otherwise:
                    lines += [
                        indent + "{% else %}",
                        self.statements(node.otherwise, indent + "  ").rstrip("\n"),
                    ]
                lines.append(indent + "{% endif %}")
            elif isinstance(node, For):
                head, _, end = self._for(replace(node, nodes=(), otherwise=()), frozenset()).partition(
                    "{% endfor"
                )
                self._expressions.loops.append(node.name)
                lines += [indent + head, self.statements(node.nodes, indent + "  ").rstrip("\n")]
                lines.append(f"{indent}{{% endfor{end}")
                self._expressions.loops.pop()
        return "\n".join(line for line in lines if line) + ("\n" if lines else "")

    def text(self, nodes: Nodes, guards: Guards = frozenset()) -> str:
        return "".join(self._node(node, guards) for node in nodes)

    def _node(self, node: Node, guards: Guards) -> str:
        self._expressions.line = node.line or self._expressions.line
        if isinstance(node, Text):
            return _literal_text(node.text)
        if isinstance(node, Output):
            return self._output(node, guards)
        if isinstance(node, If):
            return self._if(node, guards)
        if isinstance(node, For):
            return self._for(node, guards)
        if isinstance(node, Abort):
            return _literal_text(node.reason)
        if isinstance(node, Comment):
            return f"{{# {_in_comment(node.text)} #}}" if node.text else ""
        if isinstance(node, NoEqual):
            return self._no_equal(node)
        return self._set(node) if isinstance(node, Set) else self._set_text(node)

    def _output(self, node: Output, guards: Guards) -> str:
        known = node.value.base if isinstance(node.value, Filtered) else node.value
        if isinstance(known, Known) and known.kind == "content_blocks":
            words = "a text kept in Braze: put it here, or into a shared piece"
            return self._no_equal(NoEqual(f"{{{{{known.written}}}}}", words, line=node.line))
        if isinstance(node.value, Literal):
            return _literal_text("" if node.value.value is None else str(node.value.value))
        code = self._expressions.value(node.value, guards)
        text = f'{code.tight} | date("%s")' if code.kind == "seconds" else code.text
        if code.kind == "list":
            text = f'{code.tight} | join("")'
        if code.asks_for and "|" in text:
            text += f" if {code.asks_for}"
        if lost := self._lost():
            return lost  # without what was lost it could tell what it was to hide
        return f"{{{{ {text} }}}}"

    def _if(self, node: If, guards: Guards) -> str:
        out: list[str] = []
        known = guards
        branches, otherwise = list(node.branches), node.otherwise
        while len(otherwise) == 1 and isinstance(nested := otherwise[0], If):
            branches, otherwise = [*branches, *nested.branches], nested.otherwise
        if otherwise and not any(within for _, within in branches):
            conditions = [condition for condition, _ in branches]
            either = reduce(lambda left, right: Both(left, "or", right), conditions)
            branches, otherwise = [(Not(either), otherwise)], ()
        for number, (condition, within) in enumerate(branches):
            asked = self._expressions.condition(condition, known)
            inner = self.text(within, known | self._expressions.guards(condition))
            out.append(f"{{% {'elif' if number else 'if'} {asked} %}}{inner}")
            known |= self._expressions.guards_otherwise(condition)
        if otherwise:
            out.append("{% else %}" + self.text(otherwise, known))
        return "".join(out) + "{% endif %}"

    def _for(self, node: For, guards: Guards) -> str:
        self._expressions.loops.append(node.name)
        name = self._expressions.names.local(node.name)
        code = self._expressions.value(node.items, guards)
        items = code.text
        if node.limit is not None or node.offset is not None:
            items = self._part_of(items, node)
        if node.is_reversed:
            items = f"{items} | reverse"
        inner = self.text(node.nodes, guards)
        otherwise = f"{{% else %}}{self.text(node.otherwise, guards)}" if node.otherwise else ""
        self._expressions.loops.pop()
        return f"{{% for {name} in {items} %}}{inner}{otherwise}{{% endfor %}}"

    def _part_of(self, items: str, node: For) -> str:
        start = node.offset.value if isinstance(node.offset, Literal) else 0
        count = node.limit.value if isinstance(node.limit, Literal) else None
        is_plain = isinstance(start, int) and (count is None or isinstance(count, int))
        if not is_plain or isinstance(node.limit, (Known, Local)) or isinstance(node.offset, (Known, Local)):
            self._expressions.notes.append(Note(node.line, "limit and offset have to be written as numbers"))
            return items
        end = "" if count is None else int(str(start)) + int(str(count))
        return f"({items})[{start or ''}:{end}]"

    def _set(self, node: Set) -> str:
        code = self._expressions.value(node.value)
        name = self._expressions.own(node.name)
        self._expressions.kinds[node.name] = code.kind
        text = code.text
        if code.asks_for:
            text += f' if {code.asks_for} else ""'
        if lost := self._lost():
            return f'{{% set {name} = "" %}}{lost}'
        return f"{{% set {name} = {text} %}}"

    def _set_text(self, node: SetText) -> str:
        name = self._expressions.own(node.name)
        if node.name in self._expressions.collected:
            words = "a loop cannot collect a whole text here: print it in the loop itself"
            return self._no_equal(NoEqual(f"{{% capture {node.name} %}}", words, line=node.line))
        if all(isinstance(one, Text) for one in node.nodes) and len(node.nodes) <= 1:
            text = "".join(one.text for one in node.nodes if isinstance(one, Text)).strip()
            return self._set(Set(node.name, Literal(text), node.line))
        return f"{{% set {name} %}}{self.text(node.nodes).strip()}{{% endset %}}"

    def _lost(self) -> str:
        """Comments for the filters that have no equal."""
        found = "".join(f"{{# Braze: {_in_comment(words)} #}}" for words in self._expressions.lost)
        self._expressions.lost.clear()
        return found

    def _no_equal(self, node: NoEqual) -> str:
        note = Note(node.line, f"{node.written}: {node.words}", is_open=not node.is_done)
        self._expressions.notes.append(note)
        if node.is_done:
            return ""
        return f"{{# Braze: {_in_comment(node.written)}: {_in_comment(node.words)} #}}"


def _literal_text(text: str) -> str:
    for mark in ("{{", "{%", "{#"):
        if mark in text:
            text = text.replace(mark, f'{{{{ "{mark}" }}}}')
            break
    return text


def _in_comment(text: str) -> str:
    return text.replace("#}", "# }").replace("{#", "{ #")


def with_fallbacks(blocks: dict[str, Nodes], notes: list[Note]) -> dict[str, Nodes]:
    """The blocks that every template needs; one that the body has not is a variable of its own."""
    whole = dict(blocks)
    for name in ("event_id", "title", "start", "timezone"):
        if not whole.get(name):
            value = Known("event_properties", name)
            whole[name] = (Output(replace(value)),)
            notes.append(Note(None, f"the body has no {name}, which every event needs: it is a variable now"))
    return whole
