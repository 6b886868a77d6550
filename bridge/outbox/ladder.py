"""Times on a ladder: how many fell on each step is small to keep and adds up, where single times would not."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
# What is on a step took so many milliseconds at most, and more than the step before; one more has the rest.
STEPS = (
    *(50, 100, 200, 300, 500, 750, SECOND),
    *(SECOND * n // 2 for n in (3, 4, 6, 10, 15, 20, 30, 40, 60, 90)),
    *(MINUTE * n // 2 for n in (2, 3, 4, 6, 10, 15, 20, 30, 40, 60, 90)),
    *(HOUR * n for n in (1, 2, 4, 8, 12)),
    *(DAY * n for n in (1, 2, 4, 8)),
)

Held = Mapping[str, int]  # a step's number → how many; JSON has no numbers for keys


def step_of(ms: float) -> int:
    return bisect_left(STEPS, ms)


def step(ms: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """The same in SQL."""
    return sa.case(
        *((ms <= most, sa.literal_column(str(number))) for number, most in enumerate(STEPS)),
        else_=sa.literal_column(str(len(STEPS))),
    )


def added(*several: Held) -> dict[str, int]:
    total: dict[str, int] = {}
    for held in several:
        for its_step, count in held.items():
            total[its_step] = total.get(its_step, 0) + count
    return total


def held_of(each: Iterable[tuple[float, int]]) -> dict[str, int]:
    """`each`: milliseconds, and how many took them."""
    return added(*({str(step_of(ms)): count} for ms, count in each))


def older(held: Held, ms: float) -> dict[str, int]:
    """The same ages so much later, each taken as the most that its step has."""
    return held_of(((*STEPS, STEPS[-1] + 1)[int(step)] + ms, count) for step, count in held.items())


def within(held: Held, share: float) -> int | None:
    """Milliseconds within which this share of them falls, to a part of a step; None: there are none."""
    wanted = share * sum(held.values())
    for its_step, count in sorted((int(one), count) for one, count in held.items() if count):
        if count >= wanted:
            low, high = (0, *STEPS, STEPS[-1])[its_step : its_step + 2]
            return round(low + (high - low) * wanted / count)
        wanted -= count
    return None


class Seconds(sa.sql.functions.FunctionElement[int]):
    """A time as whole seconds since 1970."""

    type = sa.BigInteger()
    inherit_cache = True


class MillisecondsBetween(sa.sql.functions.FunctionElement[float]):
    """From one time to a later one."""

    type = sa.Float()
    inherit_cache = True


@compiles(Seconds)
def _strftime(element: Seconds, compiler: Any, **options: Any) -> str:
    return f"CAST(strftime('%s', {compiler.process(element.clauses, **options)}) AS INTEGER)"


@compiles(Seconds, "postgresql")
def _extract(element: Seconds, compiler: Any, **options: Any) -> str:
    return f"CAST(floor(extract(epoch FROM {compiler.process(element.clauses, **options)})) AS bigint)"


@compiles(MillisecondsBetween)
def _julian(element: MillisecondsBetween, compiler: Any, **options: Any) -> str:
    first, last = (compiler.process(one, **options) for one in element.clauses)
    return f"((julianday({last}) - julianday({first})) * {DAY}.0)"


@compiles(MillisecondsBetween, "postgresql")
def _difference(element: MillisecondsBetween, compiler: Any, **options: Any) -> str:
    first, last = (compiler.process(one, **options) for one in element.clauses)
    return f"(extract(epoch FROM ({last} - {first})) * 1000.0)"
