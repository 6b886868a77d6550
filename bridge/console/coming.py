"""/console/coming: every template's events of the months to come on a calendar, each with how many people have it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from flask import Blueprint, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.console.roles import needs
from bridge.database import clock
from bridge.ledger import coming as ledger
from bridge.ledger.coming import Entry
from bridge.web.parts import Parts

NAV = (("All that is coming", "coming"),)
MONTHS = 13  # that one may look ahead
EXACT = 10_000  # with more people it is said that the number is about so


@dataclass(frozen=True)
class Month:
    first: date

    @classmethod
    def of(cls, day: date) -> Month:
        return cls(day.replace(day=1))

    @property
    def name(self) -> str:
        return f"{self.first:%B %Y}"

    @property
    def key(self) -> str:
        return f"{self.first:%Y-%m}"

    @property
    def end(self) -> date:
        return (self.first + timedelta(days=31)).replace(day=1)

    def ahead(self, count: int) -> Month:
        months = self.first.year * 12 + self.first.month - 1 + count
        return Month(date(months // 12, months % 12 + 1, 1))


def register(console: Blueprint, parts: Parts) -> None:
    @console.get("/coming")
    @needs("viewer")
    def coming() -> ResponseReturnValue:
        with parts.database.browse() as connection:
            this = Month.of(clock(connection).date())
            month = _wanted(request.args.get("month", ""), this)
            # A day more at both ends: the reader's own days begin at another hour.
            found = ledger.between(connection, month.first - timedelta(days=1), month.end + timedelta(days=1))
            counted = ledger.counted(connection)
            then = None if found else ledger.next_day(connection, month.end)
        rows = [_row(entry) for entry in found]
        months = [this.ahead(count) for count in range(MONTHS + 1)]
        return render_template(
            "coming.html",
            month=month,
            months=months,
            newer=month.ahead(1) if month.ahead(1) in months else None,
            older=month.ahead(-1) if month.ahead(-1) in months else None,
            rows=rows,
            events=[_event(row) for row in rows],
            counted=counted,
            then=Month.of(then) if then else None,
        )


@dataclass(frozen=True)
class Row:
    """An entry as the page shows it. `of`: its template with the version, `url`: where that is."""

    title: str
    of: str
    url: str
    people: str
    entry: Entry
    detail: str


def _row(entry: Entry) -> Row:
    version = ""
    if entry.newest_version is not None:
        is_one = entry.least_version in (None, entry.newest_version)
        version = (
            f"v{entry.newest_version}" if is_one else f"v{entry.least_version} to v{entry.newest_version}"
        )
    title = entry.title or entry.event_id or entry.template or "Several events"
    detail = "" if entry.event_id else "several events"
    if entry.title is None:
        detail = "different titles" if entry.event_id else "several events, different titles"
    about = "about " if entry.people >= EXACT else ""
    return Row(
        title,
        f"{entry.template} {version}".strip() if entry.template else "sent without a template",
        _template_url(entry),
        f"{about}{entry.people:,} {'person' if entry.people == 1 else 'people'}",
        entry,
        detail,
    )


def _event(row: Row) -> dict[str, Any]:
    """As FullCalendar takes it."""
    entry = row.entry
    return {
        "title": row.title,
        "start": _iso(entry.first_start),
        "end": _iso(max(entry.last_end, entry.first_start)),
        "url": row.url or None,
        "extendedProps": {"people": row.people, "of": row.of, "detail": row.detail},
    }


def _template_url(entry: Entry) -> str:
    if not entry.template or "console.template" not in current_app.view_functions:
        return ""
    return url_for("console.template", name=entry.template)


def _wanted(text: str, this: Month) -> Month:
    """The month that is asked for, as far as one may look."""
    try:
        month = Month.of(date.fromisoformat(f"{text}-01"))
    except ValueError:
        return this
    return Month(min(max(month.first, this.first), this.ahead(MONTHS).first))


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
