"""What the editor says beside fields, variables and filters: words for marketers, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.calendar.proof import WIDEST_TITLE


@dataclass(frozen=True)
class Block:
    """One field of the form. `best`: characters that a phone's lock screen shows of it. `is_time`: what is inserted
    there is read by the bridge, not by people.
    """

    label: str
    hint: str
    blank: str  # what holds if it is left blank and no shared piece says it; "": it is needed
    best: int | None = None
    is_long: bool = False
    is_time: bool = False
    is_rare: bool = False


BLOCKS: dict[str, Block] = {
    "event_id": Block(
        "Event id",
        "Your own name for this event. The same id again changes the same event instead of making a second one.",
        "",
    ),
    "title": Block(
        "Title",
        "What stands in the calendar, and in bold on a locked phone.",
        "",
        best=WIDEST_TITLE,
    ),
    "description": Block(
        "Description",
        "What one reads after opening the event. Line breaks stay; web addresses become links.",
        "The event has no description.",
        is_long=True,
    ),
    "location": Block(
        "Location",
        "Stands right under the title, in the calendar and in the reminder: room for a call to action.",
        "The event has no location.",
        best=50,
    ),
    "start": Block(
        "Start",
        "When it begins: a variable of type time, or 2026-12-04T09:00.",
        "",
        is_time=True,
    ),
    "end": Block("End", "When it ends.", "60 minutes after the start.", is_time=True),
    "all_day": Block(
        "All day", "yes or no: an event of whole days stands above the hours.", "no", is_rare=True
    ),
    "timezone": Block(
        "Time zone",
        "The clock by which all times here are read: Europe/Berlin or Eastern Standard Time.",
        "",
    ),
    "notify_before": Block(
        "Reminder", "Minutes before the start: 0 to 40,320 (four weeks), or none.", "15 minutes before."
    ),
    "visible_from": Block(
        "Visible from",
        "A time from which the event is shown in the calendar.",
        "It is shown at once.",
        is_time=True,
        is_rare=True,
    ),
    "calendar": Block(
        "Calendars",
        "Codes of Rokt calendars, with commas between: only those who subscribed to these get it.",
        "All of the subscriber's calendars.",
        is_rare=True,
    ),
    "expires": Block(
        "Send until",
        "A time: what has not reached Rokt by then is not sent any more.",
        "A new event is sent until its end; a change is always sent.",
        is_time=True,
        is_rare=True,
    ),
    "skip": Block(
        "Make no event if",
        "If this prints anything, no event is made, and what it prints is the reason: "
        "{% if discount < 5 %}discount under 5 %{% endif %}",
        "Everybody gets the event.",
        is_rare=True,
    ),
}

# Where an example, such as `starts | plus(days=2)`, is not what is inserted, the insertion stands third.
FILTERS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Times": (
        ("date", 'date("%A %-d %B, %H:%M")', "Friday 4 December, 09:00"),
        ("plus", "plus(days=2)", "later; also weeks, hours, minutes. Days keep the clock"),
        ("minus", "minus(hours=1)", "earlier"),
        ("at", 'at("09:00")', "that day at this time"),
        ("in_zone", 'in_zone("Europe/London")', "the same moment on another clock"),
    ),
    "Numbers": (
        ("money", 'money("USD")', "$1,249.50"),
        ("number", "number(2)", "1,249.50"),
        ("plural", 'plural("day")', "day or days"),
        ("round", "round(2)", "rounded"),
    ),
    "Text": (
        ("default", 'default("there")', "what stands in for a missing value"),
        ("link", 'link(campaign="sale")', "a web address with utm parameters"),
        ("shorten", "shorten(40)", "at most so many characters, cut between words"),
        ("upper", "upper", "CAPITALS"),
        ("lower", "lower", "small letters"),
        ("capitalize", "capitalize", "A capital at the beginning"),
        ("replace", 'replace("a", "b")', "one text instead of another"),
        ("strip_html", "strip_html", "without tags of HTML"),
    ),
    "Lists": (
        ("join", 'join(", ")', "a, b, c"),
        ("first", "first", "the first one"),
        ("length", "length", "how many"),
    ),
}

TYPES: dict[str, str] = {
    "text": "text",
    "number": "number",
    "time": "time",
    "day": "day",
    "yes/no": "yes or no",
    "one of": "one of …",
}

STARTER = """\
{#
What this event is for, in a sentence.

event      required              e.g. winter26   (the same id again changes the same event)
starts     required, time        e.g. 2026-12-04T09:00
first_name default ""            e.g. Ada
time_zone  default "Eastern Standard Time"   e.g. Europe/Berlin
#}
{% block event_id %}{{ event }}{% endblock %}
{% block title %}{% if first_name %}{{ first_name }}, it starts now{% else %}It starts now{% endif %}{% endblock %}
{% block description %}
Tell what it is about.
{% endblock %}
{% block start %}{{ starts }}{% endblock %}
{% block timezone %}{{ time_zone }}{% endblock %}
"""

STARTER_PIECE = """\
{#
What several templates have in common: a template that begins with {% extends "NAME" %} has these blocks.
#}
{% block location %}{% endblock %}
"""
