"""Templates: compiled once and checked, then rendered into the fields of an event, by many threads at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import InvalidOperation
from types import TracebackType
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import Context

from bridge.calendar.engine import binding
from bridge.calendar.engine.binding import Bound, bind
from bridge.calendar.engine.budget import spending
from bridge.calendar.engine.checks import check_family
from bridge.calendar.engine.compiling import Program, Run, compile_family, time_use
from bridge.calendar.engine.declarations import Variable
from bridge.calendar.engine.examples import examples
from bridge.calendar.engine.faults import Refusal, TemplateFault, did_you_mean
from bridge.calendar.engine.lines import join
from bridge.calendar.engine.reach import GLOBALS
from bridge.calendar.engine.sandbox import Sandbox
from bridge.calendar.engine.sources import BLOCKS, Family, Source, read_family
from bridge.calendar.engine.time_filters import ZONE
from bridge.calendar.engine.times import NEEDS_ZONE, Time, UnreadTime
from bridge.calendar.engine.values import UnknownName
from bridge.calendar.zones import find_zone
from bridge.errors import InvalidValue

__all__ = ["BLOCKS", "Rendered", "Template", "TemplateFault", "check_piece", "compile_template"]

_FIELDS = frozenset(BLOCKS) - {"skip"}
_REQUIRED = ("event_id", "title", "start", "timezone")
# An update takes a field that is not there from the last state; a blank one of these empties it.
_MAY_BE_BLANK = ("description", "location")


@dataclass(frozen=True)
class Rendered:
    """Block name → text, trimmed; without the blocks that a template does not define or that printed nothing.

    `skip`: the reason, when the skip block printed one; `fields` then holds the event_id at most.
    """

    fields: Mapping[str, str]
    skip: str | None = None


def compile_template(name: str, sources: Mapping[str, str]) -> Template:
    """Compile `name` with the shared pieces that it uses. `sources`: names without `.jinja`, templates and pieces.

    Errors: TemplateFault for all that can be said before a value is known.
    """
    if name.startswith("_"):
        raise TemplateFault(name, None, "template", "shared piece", f'"{name}" is a shared piece, no event')
    if name not in sources:
        known = [known for known in sources if not known.startswith("_")]
        words = f'there is no template "{name}"{did_you_mean(name, known)}'
        raise TemplateFault(name, None, "template", "unknown template", words)
    environment = Sandbox()
    family = read_family(environment, name, sources)
    check_family(family)
    for block in _REQUIRED:
        if not any(block in source.blocks for source in family.chain):
            words = f'the block "{block}" is missing: every event needs one'
            raise TemplateFault(name, None, block, f"no {block}", words)
    program = compile_family(environment, family)
    return Template(name, family, program)


def check_piece(name: str, sources: Mapping[str, str]) -> None:
    """What can be said of a shared piece by itself. Errors: TemplateFault."""
    environment = Sandbox()
    family = read_family(environment, name, sources)
    check_family(family)
    compile_family(environment, family)


class Template:
    """A compiled template. Rendering does not change it: threads may share it.

    `variables`: the declared ones, then those that are used and not declared. `pieces`: the shared pieces in it.
    """

    def __init__(self, name: str, family: Family, program: Program) -> None:
        self.name = name
        self.purpose = family.chain[0].declaration.purpose
        self.pieces = frozenset(source.name for source in family.sources) - {name}
        self.variables = _variables(family, program)
        self._program = program
        # A name that is set somewhere may be sent too, but does not have to be.
        self._known = self.variables + _set_and_free(family, program, self.variables)
        binding.check_declared(self.variables)
        times = frozenset(v.name for v in self.variables if v.type == "time") | {"now"}
        for source, node in program.zone.nodes:
            for use in time_use(node, times):
                raise _depends_on_zone(source, use)
        self._is_event_id_zoned = any(
            True for _, node in program.event_id.nodes for _ in time_use(node, times)
        )

    def render(self, variables: Mapping[str, object], now: datetime) -> Rendered:
        """The event's fields for these variables, JSON values as Braze sends them. Errors: TemplateFault."""
        with spending():
            bound = bind(self.name, self._known, variables, None)
            context = self._zoned(bound, now)
            self._set(self._program.roots, context)
            if skip := self._print("skip", context):
                return Rendered(self._event_id_if_any(context), skip)
            fields = {}
            for block in self._program.blocks:
                if block in _FIELDS:
                    text = self._print(block, context)
                    if text or block in _MAY_BE_BLANK:
                        fields[block] = text
                    elif block in _REQUIRED:
                        raise self._blank(block)
            return Rendered(fields)

    def render_event_id(self, variables: Mapping[str, object], now: datetime | None = None) -> str:
        """The event_id alone, for a delete: variables that it does not need may be missing. Errors: TemplateFault."""
        needed = self._program.event_id.reads
        if self._is_event_id_zoned:
            needed |= self._program.zone.reads
        with spending():
            bound = bind(self.name, self._known, variables, needed)
            if self._is_event_id_zoned:
                context = self._zoned(bound, now or datetime.now(UTC))
            else:
                context = self._context(bound.unread())
            self._set(self._program.event_id.roots, context)
            text = self._print("event_id", context)
            if not text:
                raise self._blank("event_id")
            return text

    @property
    def places(self) -> Mapping[str, tuple[str, int]]:
        """Where each block stands: (file, line) of its nearest definition."""
        return self._program.lines

    @property
    def key(self) -> frozenset[str]:
        """The variables on which the event_id depends, and `now` if it does on that."""
        return self._program.event_id.reads & {"now", *(variable.name for variable in self.variables)}

    def hints(self) -> list[TemplateFault]:
        """Names that are used and not declared, which is allowed, and often a slip."""
        declared = [variable.name for variable in self.variables if variable.is_declared]
        return [
            TemplateFault(
                variable.template or self.name,
                variable.line,
                "template",
                "undeclared",
                f'"{variable.name}" is not declared{did_you_mean(variable.name, declared) or "."} '
                "If it is right, declare it in the first comment",
            )
            for variable in self.variables
            if not variable.is_declared
        ]

    def examples(self) -> dict[str, Any]:
        """A value for every variable, for a preview: what its line in the comment says, or one that fits its use."""
        return examples(self.variables, self._program.fitting)

    def _zoned(self, bound: Bound, now: datetime) -> Context:
        """A context with all times on the clock that the timezone block names, which is printed before."""
        early = self._context(bound.unread() | {"now": UnreadTime("now")})
        self._set(self._program.zone.roots, early)
        name = self._print("timezone", early)
        if not name:
            raise self._blank("timezone")
        try:
            zone = find_zone(name)
        except InvalidValue as error:
            raise self._at_block("timezone", "wrong value", str(error)) from error
        values = bound.read(zone)
        values["now"] = Time(now.astimezone(zone.clock), zone)
        values[ZONE] = zone
        return self._context(values)

    def _context(self, values: dict[str, Any]) -> Context:
        context = Context(self._program.environment, {**GLOBALS, **values}, self.name, {})
        context.blocks = self._program.blocks
        return context

    def _set(self, roots: Iterable[Run], context: Context) -> None:
        try:
            for root in roots:
                for _ in root(context):
                    pass
        except Exception as error:  # a marketer's template can raise anything
            raise self._fault(error, "template") from error

    def _print(self, block: str, context: Context) -> str:
        runs = self._program.blocks.get(block)
        if not runs:
            return ""
        try:
            return join(runs[0](context)).strip()
        except Exception as error:  # a marketer's template can raise anything
            raise self._fault(error, block) from error

    def _event_id_if_any(self, context: Context) -> dict[str, str]:
        """For the record of what was skipped; what was skipped may lack the values for it."""
        try:
            event_id = self._print("event_id", context)
        except TemplateFault:
            return {}
        return {"event_id": event_id} if event_id else {}

    def _blank(self, block: str) -> TemplateFault:
        cause = "no event_id" if block == "event_id" else f"no {block}"
        return self._at_block(block, cause, f'the block "{block}" printed nothing')

    def _at_block(self, block: str, cause: str, words: str) -> TemplateFault:
        template, line = self._program.lines[block]
        return TemplateFault(template, line, block, cause, words)

    def _fault(self, error: Exception, place: str) -> TemplateFault:
        template, line = _place(error.__traceback__) or self._program.lines.get(place) or (self.name, None)
        if isinstance(error, UnknownName):
            known = {variable.name for variable in self._known} | self._program.stored
            name = str(error)
            words = f'"{name}" has no value here{did_you_mean(name, known - {name})}'
            return TemplateFault(template, line, place, "unknown name", words)
        return TemplateFault(template, line, place, *_told(error))


def _variables(family: Family, program: Program) -> tuple[Variable, ...]:
    """What is declared, here before in a shared piece, and then what is used, set nowhere and so has to be sent."""
    declared: dict[str, Variable] = {}
    for source in family.sources:
        for variable in source.declaration.variables:
            declared.setdefault(variable.name, variable)
    used = {
        name: Variable(name, required=True, template=template, line=line, is_declared=False)
        for name, (template, line) in program.free_names.items()
        if name not in declared and name not in program.stored
    }
    return (*declared.values(), *used.values())


def _set_and_free(family: Family, program: Program, variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
    known = {variable.name for variable in variables}
    return tuple(Variable(name, is_declared=False) for name in program.free_names if name not in known)


def _depends_on_zone(source: Source, use: nodes.Node) -> TemplateFault:
    what = f'"{use.name}"' if isinstance(use, (nodes.Name, nodes.Filter)) else "a time"
    words = f"the timezone depends on {what}, a time that can only be read once the zone is known"
    return TemplateFault(source.name, use.lineno, "timezone", NEEDS_ZONE, words)


def _place(traceback: TracebackType | None) -> tuple[str, int] | None:
    """The file and line of the innermost template code in a traceback."""
    found = None
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            found = (template.name, template.get_corresponding_lineno(traceback.tb_lineno))
        traceback = traceback.tb_next
    return found


def _told(error: Exception) -> tuple[str, str]:
    """(cause, words) for what was raised while a template ran."""
    if isinstance(error, Refusal):
        return error.cause, str(error)
    if isinstance(error, InvalidValue):
        return "wrong value", str(error)
    if isinstance(error, TemplateRuntimeError):
        return "unknown name", str(error)
    if isinstance(error, (ZeroDivisionError, InvalidOperation)):
        return "wrong value", "this divides by zero, or its result has too many digits"
    if isinstance(error, (RecursionError, MemoryError, OverflowError)):
        return "result too large", "this goes too deep or grows too large"
    return "rendering failed", f"this cannot be worked out: {str(error)[:200]}"
