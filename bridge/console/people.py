"""/console/people: a person's subscriptions and devices, what stands in her calendar from here, and her story."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.calendar.zones import find_zone, wall_text
from bridge.console.finding import person_url
from bridge.console.messages import reminder
from bridge.console.roles import needs
from bridge.console.story import when
from bridge.database import clock
from bridge.errors import InvalidValue
from bridge.ledger import events
from bridge.ledger.events import Held
from bridge.ledger.subscribers import listing
from bridge.outbox import search
from bridge.outbox.reading import Filter
from bridge.routes.incoming import plain
from bridge.web import filters
from bridge.web.parts import Parts

NAV = (("People", "people"),)
MOST_EVENTS = 500
MOST_SUBSCRIPTIONS = 50
MOST_MESSAGES = 25


@dataclass(frozen=True)
class Entry:
    """An event in a calendar. `starts`, `ends`: on its own clock, as `2026-12-04T09:00:00`."""

    title: str
    starts: str
    ends: str
    starts_at: datetime
    zone: str
    is_all_day: bool
    location: str
    description: str
    reminder: str | None
    account_code: str
    event_id: str
    template: str | None
    version: int | None
    is_certain: bool
    holders: tuple[str, ...]

    def shown(self) -> dict[str, Any]:
        """As FullCalendar takes it."""
        mark = [] if self.is_certain else ["unsure"]
        times = {"start": self.starts, "end": self.ends, "allDay": self.is_all_day}
        return {"id": self.event_id, "title": self.title, "classNames": mark, **times}


def register(console: Blueprint, parts: Parts) -> None:
    @console.get("/people")
    @needs("viewer")
    def people() -> ResponseReturnValue:
        user_id = plain(request.args.get("user_id", "").strip())
        if not user_id:
            return render_template("people.html")
        cursor = request.args.get("cursor", "")
        to = person_url(user_id, **({"cursor": cursor} if cursor else {}))
        if not to.startswith(url_for("console.people") + "?"):
            return redirect(to, 303)
        return _page(parts, user_id)

    @console.get("/people/<path:user_id>")
    @needs("viewer")
    def person(user_id: str) -> ResponseReturnValue:
        return _page(parts, plain(user_id))


def _page(parts: Parts, user_id: str) -> ResponseReturnValue:
    page = filters.of_list({"cursor": request.args.get("cursor", "")})
    with parts.database.browse() as connection:
        subscriptions = listing(connection, user_id=user_id, limit=MOST_SUBSCRIPTIONS + 1)
        held = events.of_user(connection, user_id, MOST_EVENTS + 1)
        wanted = Filter(user_id=user_id, before=page.before, limit=MOST_MESSAGES)
        found, following, is_cut = search.looked_for(connection, wanted)
        now = clock(connection)
    entries = sorted(filter(None, map(_entry, held[:MOST_EVENTS])), key=lambda one: one.starts_at)
    return render_template(
        "person.html",
        user_id=user_id,
        subscriptions=[one.subscription for one in subscriptions[:MOST_SUBSCRIPTIONS]],
        has_more_subscriptions=len(subscriptions) > MOST_SUBSCRIPTIONS,
        entries=entries,
        shown=[one.shown() for one in entries],
        coming=[one for one in entries if one.starts_at >= now],
        past=[one for one in entries if one.starts_at < now][::-1],
        unsent=[one for one in held if one.standing.content is None],
        has_more_entries=len(held) > MOST_EVENTS,
        found=found,
        is_first=page.before is None,
        older=person_url(user_id, cursor=str(following)) if following else "",
        is_cut=is_cut,
    )


def _entry(held: Held) -> Entry | None:
    """None: it never came so far that Rokt took it."""
    its = held.standing.content
    if its is None:
        return None
    starts_at, ends_at = when(its["start"]), when(its["end"])
    assert starts_at is not None
    assert ends_at is not None
    return Entry(
        title=its["title"],
        starts=_wall(starts_at, its["timezone"]),
        ends=_wall(ends_at, its["timezone"]),
        starts_at=starts_at,
        zone=its["timezone"],
        is_all_day=bool(its.get("all_day")),
        location=its["location"],
        description=its["description"],
        reminder=reminder(its),
        account_code=held.place[0],
        event_id=held.place[1],
        template=held.template,
        version=held.version,
        is_certain=held.standing.is_certain,
        holders=tuple(sorted(held.standing.holders)),
    )


def _wall(at: datetime, zone_name: str) -> str:
    try:
        return wall_text(at, find_zone(zone_name))
    except InvalidValue:
        return at.replace(tzinfo=None).isoformat(timespec="seconds")
