"""/console/: how it goes: each destination in words with a forecast, and what came, left and waits over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.engine import Connection

from bridge.console import health, words
from bridge.console.health import Notice
from bridge.console.reasons import place
from bridge.console.roles import needs, person
from bridge.database import clock
from bridge.errors import NotFound
from bridge.outbox import samples, states
from bridge.outbox.forecast import Forecast, Minute, share
from bridge.outbox.samples import Point, Waiting
from bridge.outbox.states import CLOSED, PAUSED
from bridge.web.parts import Parts

NAV = (("Today", "today"),)
MEASURED = 6  # minutes from which the speed is told
HOUR = 60  # minutes
# By name: words, minutes, and how many of them are one point of a chart.
SPANS = {"3h": ("3 hours", 180, 1), "24h": ("24 hours", 1440, 5), "8d": ("8 days", 11_520, 30)}
FAILED = ("dead", "uncertain")
_LEVELS = ("bad", "slow", "good")

log = structlog.get_logger()


@dataclass(frozen=True)
class Card:
    """What is told of a destination. `hour`: of its last hour, by what became of messages."""

    destination: str
    name: str
    level: str
    notices: Sequence[Notice]
    waits: Waiting
    forecast: Forecast | None
    hour: Mapping[str, int]
    is_paused: bool

    @property
    def stops(self) -> str:
        return next((notice.stops for notice in self.notices if notice.stops), "")

    @property
    def too_late_from(self) -> datetime | None:
        """When the first of what is stopped is too late; None: that never happens to it."""
        times = [run[2] for run in self.waits.expiring]
        return datetime.fromtimestamp(min(times), UTC) if times and self.stops else None


def register(console: Blueprint, parts: Parts) -> None:
    @console.get("/")
    @needs("viewer")
    def today() -> ResponseReturnValue:
        return render_template("today.html", **_now(parts), spans=SPANS)

    @console.get("/today/cards")
    @needs("viewer")
    def today_cards() -> ResponseReturnValue:
        return render_template("_today_cards.html", **_now(parts))

    @console.get("/today.json")
    @needs("viewer")
    def today_json() -> ResponseReturnValue:
        span = request.args.get("span", "")
        destination = request.args.get("destination") or None
        with parts.database.browse() as connection:
            return charted(connection, span if span in SPANS else "3h", destination)

    @console.post("/today/<destination>/pause")
    @needs("publisher")
    def today_pause(destination: str) -> ResponseReturnValue:
        with parts.database.write() as connection:
            _check_known(parts, connection, destination)
            by = person().name
            is_new = states.pause(connection, destination, f"paused by {by}", clock(connection))
        return _turned(destination, "paused", "Nothing leaves for it until somebody resumes it.", is_new)

    @console.post("/today/<destination>/resume")
    @needs("publisher")
    def today_resume(destination: str) -> ResponseReturnValue:
        with parts.database.write() as connection:
            _check_known(parts, connection, destination)
            is_new = states.resume(connection, destination, clock(connection))
        return _turned(destination, "resumed", "What waits for it leaves again.", is_new)


def charted(connection: Connection, span: str, destination: str | None) -> dict[str, Any]:
    """Columns for charts, one value for each point; only whole minutes that are counted."""
    _, minutes, each = SPANS[span]
    upto = samples.counted_upto(connection)
    if upto is None:
        return {"each": each, "counted_at": None, "times": [], **{name: [] for name in _COLUMNS}}
    end = samples.minute_of(upto) // each * each
    first = end - minutes
    by_minute: dict[int, list[Point]] = {}
    for point in samples.series(connection, first, end, each, destination):
        by_minute.setdefault(point.minute, []).append(point)
    starts = range(first, end, each)
    found = [by_minute.get(minute, []) for minute in starts]
    return {
        "each": each,
        "counted_at": upto.isoformat(),
        "times": [minute * 60 for minute in starts],
        **{name: [column(points) for points in found] for name, column in _COLUMNS.items()},
    }


def _sum(*names: str) -> Any:
    return lambda points: sum(point.counts[name] for point in points for name in names)


def _most(name: str) -> Any:
    """Of several destinations the slowest."""

    def column(points: Sequence[Point]) -> int | None:
        return max((its for point in points if (its := getattr(point, name)) is not None), default=None)

    return column


def _waited(points: Sequence[Point]) -> int | None:
    known = [point.waiting for point in points if point.waiting is not None]
    return sum(known) if known else None


_COLUMNS = {
    "accepted": _sum("accepted"),
    "delivered": _sum("delivered"),
    "failed": _sum(*FAILED),
    "skipped": _sum("skipped", "superseded"),
    "waiting": _waited,
    "half_ms": _most("half_ms"),
    "most_ms": _most("most_ms"),
    "slowest_ms": _most("slowest_ms"),
}


def _now(parts: Parts) -> dict[str, Any]:
    """What the cards are made of."""
    with parts.database.browse() as connection:
        now = clock(connection)
        workers = samples.live_workers(connection, now)
        waits = samples.waiting_by_destination(connection)
        upto = samples.counted_upto(connection)
        minute = samples.minute_of(upto or now)
        points = samples.series(connection, minute - HOUR, minute)
        known = states.read_states(connection)
    its_states: dict[str, list[states.DestinationState]] = {}
    for state in known:
        its_states.setdefault(state.destination, []).append(state)
    its_points: dict[str, dict[int, Point]] = {}
    for point in points:
        its_points.setdefault(point.destination, {})[point.minute] = point
    # Of one that is not set up any more only if something still waits for it.
    left = {name for name, its in waits.items() if its.messages}
    cards = []
    for destination in sorted({*parts.settings.rates, *left}, key=place):
        of_it, its_waits = its_points.get(destination, {}), waits.get(destination, Waiting(0, None))
        told = health.notices(
            destination,
            its_states.get(destination, []),
            now,
            is_configured=destination in parts.settings.rates,
            workers=workers,
        )
        lately = [_minute(of_it.get(one)) for one in range(minute - MEASURED, minute)]
        cards.append(
            Card(
                destination,
                place(destination),
                min((notice.level for notice in told), key=_LEVELS.index),
                told,
                its_waits,
                health.outlook(parts.settings, destination, its_waits, lately, told, now),
                {name: sum(point.counts[name] for point in of_it.values()) for name in _hour_names()},
                any(s.account_code == PAUSED and s.state == CLOSED for s in its_states.get(destination, [])),
            )
        )
    cards.sort(key=lambda card: _LEVELS.index(card.level))
    links = {"messages_url": _address("console.messages"), "dead_url": _address("console.dead")}
    return {"cards": cards, "workers": workers, "counted_at": upto, "now": now, "tell": _Words, **links}


class _Words:
    """Sentences of a card, for its page."""

    @staticmethod
    def waiting(waits: Waiting) -> str:
        if waits.is_cut:
            return f"More than {waits.messages:,} waiting"
        return f"{waits.messages:,} waiting"

    @staticmethod
    def rate(a_second: float) -> str:
        for unit, times in (("second", 1), ("minute", 60), ("hour", 3600)):
            if a_second * times >= 1:
                return f"{round(a_second * times):,} a {unit}"
        return "less than one an hour"

    @staticmethod
    def is_soon(card: Card, now: datetime) -> bool:
        leaves_at = card.forecast.leaves_at if card.forecast else None
        return leaves_at is not None and (leaves_at - now).total_seconds() < 60

    @staticmethod
    def late(card: Card) -> str:
        """How many will be too late: `about 2 % (9,600)`."""
        if card.forecast is None or not card.forecast.late:
            return ""
        part = share(card.forecast.late, card.waits.messages)
        return f"{'about ' if part[0].isdigit() else ''}{part} of them ({card.forecast.late:,})"

    count = staticmethod(words.count)


def _hour_names() -> tuple[str, ...]:
    return ("accepted", "delivered", *FAILED)


def _minute(point: Point | None) -> Minute:
    if point is None:
        return Minute(0, None)
    return Minute(point.counts["delivered"] + point.counts["skipped"], point.waiting)


def _address(endpoint: str) -> str:
    """Of another page, if there is one."""
    return url_for(endpoint) if endpoint in current_app.view_functions else ""


def _check_known(parts: Parts, connection: Connection, destination: str) -> None:
    """Errors: NotFound."""
    if destination not in parts.settings.rates and not states.read_states(connection, destination):
        raise NotFound("There is no such destination.")


def _turned(destination: str, what: str, then: str, is_new: bool) -> ResponseReturnValue:
    name = place(destination)
    if is_new:
        log.info("destination.paused" if what == "paused" else "destination.resumed", destination=destination)
        flash(f"{name} is {what}. {then}", "good")
    else:
        flash(f"{name} was {what} already.")
    return redirect(url_for("console.today"), 303)
