"""Varies a template's examples until both sides of each of its conditions were seen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import combinations, islice, product
from typing import Any

from bridge.calendar.engine.branches import Condition, Watched
from bridge.calendar.engine.declarations import Variable

MOST_CASES = 40
SECONDS = 1.0  # of the processor, for looking; what was not seen by then is told as not seen
MOST_TRIES = 250  # for one side of one condition
MOST_LETTERS = 40  # of a value in the words for a case

Values = Mapping[str, Any]
Side = tuple[int, bool]
Run = Callable[[Values], dict[str, Any]]
Maker = Callable[[Any, Sequence[Any], Sequence[Any], datetime], list[Any]]


@dataclass
class Seen:
    """One rendering: `result` as the preview tells it, and the sides that it took."""

    values: dict[str, Any]
    result: dict[str, Any]
    sides: frozenset[Side]

    @property
    def is_good(self) -> bool:
        return not self.result["faults"]


@dataclass
class Explored:
    """`cases` begins with the examples. `unseen`: the sides that no values were found for."""

    cases: list[Seen] = field(default_factory=list)
    unseen: list[tuple[Condition, bool]] = field(default_factory=list)


class Explorer:
    """Tries values that could make a condition come out otherwise, those with the fewest changes first."""

    def __init__(self, watched: Watched, now: datetime, run: Run) -> None:
        self._watched, self._now, self._run = watched, now, run
        self._variables = {variable.name: variable for variable in watched.template.variables}
        self._examples = watched.template.examples()
        self._known: dict[str, Seen] = {}
        self._ends = time.process_time() + SECONDS

    def explore(self) -> Explored:
        first = self._try(self._examples)
        found = Explored([first])
        covered = set(first.sides)
        for _ in range(2):  # what is seen first may be where the rest is found from
            for condition in self._watched.conditions:
                for side in ((condition.number, True), (condition.number, False)):
                    if (
                        side not in covered
                        and len(found.cases) < MOST_CASES
                        and (case := self._find(side, found))
                    ):
                        found.cases.append(case)
                        covered |= case.sides
        self._add_rest(found)
        found.unseen = [
            (condition, taken)
            for condition in self._watched.conditions
            for taken in (True, False)
            if (condition.number, taken) not in covered
        ]
        return found

    def words(self, values: Values) -> str:
        """What is different from the examples."""
        changed = [name for name, value in values.items() if value != self._examples.get(name)]
        return ", ".join(_change(name, values[name]) for name in changed)

    def _find(self, side: Side, found: Explored) -> Seen | None:
        """A rendering that takes this side, if need be one that ends in a mistake."""
        condition = self._watched.conditions[side[0]]
        spare: Seen | None = None
        for values in islice(self._candidates(condition, found), MOST_TRIES):
            if time.process_time() > self._ends:
                break
            seen = self._try(values)
            if side in seen.sides:
                if seen.is_good:
                    return seen
                spare = spare or seen
        return spare

    def _candidates(self, condition: Condition, found: Explored) -> Iterator[dict[str, Any]]:
        asked = [
            case for case in found.cases if {(condition.number, True), (condition.number, False)} & case.sides
        ]
        starts = [case.values for case in (asked or found.cases)]
        options = self._options(condition)
        outer = {
            name: values
            for number in reversed(condition.within)
            for name, values in self._options(self._watched.conditions[number]).items()
        }
        options = options if asked else {**outer, **options}
        for values in starts:
            for name, others in options.items():
                for other in others:
                    yield {**values, name: other}
        for values in starts[:3]:
            for one, two in combinations(options, 2):
                for pair in product(options[one], options[two]):
                    yield {**values, one: pair[0], two: pair[1]}
        for choice in product(*options.values()):
            yield {**self._examples, **dict(zip(options, choice, strict=True))}

    def _options(self, condition: Condition) -> dict[str, list[Any]]:
        """For each variable on which the condition depends, the values that are worth trying."""
        names = [name for name in condition.names if name in self._variables]
        options = {}
        for name in names:
            others = [self._examples[other] for other in names if other != name]
            values = _values(
                self._variables[name], self._examples[name], condition.literals_of(name), others, self._now
            )
            options[name] = [value for n, value in enumerate(values) if value not in values[:n]]
        return options

    def _try(self, values: Values) -> Seen:
        key = repr(sorted(values.items()))
        if key not in self._known:
            self._watched.begin()
            result = self._run(values)
            self._known[key] = Seen(dict(values), result, self._watched.seen)
        return self._known[key]

    def _add_rest(self, found: Explored) -> None:
        """Each choice, yes and no, and a blank as Braze sends what it does not know: what still looks different."""
        for name, variable in self._variables.items():
            blank = () if variable.required else ("",)
            for value in variable.choices or _FLIPS.get(variable.type, blank):
                if time.process_time() > self._ends or len(found.cases) >= MOST_CASES:
                    return
                seen = self._try({**self._examples, name: value})
                if _looks(seen) not in [_looks(case) for case in found.cases]:
                    found.cases.append(seen)


def _looks(seen: Seen) -> tuple[Any, ...]:
    return tuple(seen.result[part] for part in ("fields", "skip", "faults"))


def _values(
    variable: Variable, example: Any, literals: Sequence[Any], others: Sequence[Any], now: datetime
) -> list[Any]:
    make: Maker = _MAKERS.get(variable.type, _texts)
    made = make(example, literals, others, now)
    if variable.choices:
        made = list(variable.choices)
    if not variable.required:
        made = ["", *made]
    return [*made, example]


def _flags(example: Any, literals: Sequence[Any], others: Sequence[Any], now: datetime) -> list[Any]:
    return ["yes", "no"]


def _numbers(example: Any, literals: Sequence[Any], others: Sequence[Any], now: datetime) -> list[Any]:
    bases = [number for one in (*literals, *others, example) if (number := _number(one)) is not None]
    near = [base + step for base in bases for step in (-1, 0, 1)]
    return [format(number, "f") for number in [*near, Decimal(0), Decimal(1_000_000)]]


def _times(example: Any, literals: Sequence[Any], others: Sequence[Any], now: datetime) -> list[Any]:
    bases = [at for one in (example, *others) if (at := _time(one)) is not None]
    bases.append(now.replace(tzinfo=None))
    hour, day = timedelta(hours=1), timedelta(days=1)
    made = [base + step for base in bases for step in (-day, day, -hour, hour, -400 * day, 400 * day)]
    whole = [one for one in literals if isinstance(one, int) and not isinstance(one, bool)]
    made += [bases[0].replace(hour=one) for c in whole for one in (c - 1, c, c + 1) if 0 <= one < 24]
    made += [bases[0].replace(month=one, day=1) for c in whole for one in (c - 1, c, c + 1) if 1 <= one <= 12]
    if any(isinstance(one, str) for one in literals):  # of a weekday, perhaps
        made += [bases[0] + step * day for step in range(1, 7)]
    return [at.isoformat(timespec="minutes") for at in made]


def _days(example: Any, literals: Sequence[Any], others: Sequence[Any], now: datetime) -> list[Any]:
    return [one[:10] for one in _times(example, literals, [str(other)[:10] for other in others], now)]


def _texts(example: Any, literals: Sequence[Any], others: Sequence[Any], now: datetime) -> list[Any]:
    whole = [
        one for one in literals if isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= 500
    ]
    if isinstance(example, list):
        return [*_lists(example, whole, literals), example]
    made = [one for one in literals if isinstance(one, str)]
    made += [str(number) for one in whole for number in (one - 1, one, one + 1)]
    made += [("x" * count) for one in whole for count in (one, one + 1) if count]
    made += ["Something else", *(other for other in others if isinstance(other, str))]
    return made


def _lists(example: list[Any], whole: Sequence[int], literals: Sequence[Any]) -> Iterator[list[Any]]:
    """Shorter and longer ones, and such whose one item is, or holds, what is compared with."""
    first = example[0] if example else "a"
    yield []
    for count in (1, *whole):
        yield [first] * count
        yield [first] * (count + 1)
    for literal in literals:
        near = [literal - 1, literal, literal + 1] if isinstance(literal, int) else [literal]
        for value in near:
            if isinstance(first, dict):
                yield from ([{**first, key: value}] for key in first)
            else:
                yield [value]


_FLIPS = {"yes/no": ("yes", "no")}
_MAKERS: Mapping[str, Maker] = {
    "yes/no": _flags,
    "number": _numbers,
    "time": _times,
    "day": _days,
}


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value).replace(",", ""))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < 10**15 else None


def _time(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value)).replace(tzinfo=None)
    except ValueError:
        return None


def _change(name: str, value: Any) -> str:
    if value in ("", None, []):
        return f"{name} blank"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{name} = {text if len(text) <= MOST_LETTERS else text[:MOST_LETTERS] + '…'}"
