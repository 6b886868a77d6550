"""/console/messages: the search, and a message's whole story on one page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.calendar.event import CalendarEvent
from bridge.calendar.zones import find_zone, wall_text
from bridge.console import again, finding, reasons
from bridge.console import story as stories
from bridge.console.finding import Finding
from bridge.console.roles import needs
from bridge.console.words import words_of
from bridge.database import clock
from bridge.errors import Answerable, InvalidPayload, InvalidValue, NotFound
from bridge.message import State
from bridge.outbox import reading, samples, search, states
from bridge.outbox.reading import Filter
from bridge.routes.incoming import plain
from bridge.settings.declared import declared
from bridge.web.parts import Parts

NAV = (("Messages", "messages"),)
MOST_SHOWN = 20_000  # characters of a payload


def register(console: Blueprint, parts: Parts) -> None:
    shared = {name: getattr(finding, name) for name in ("person_url", "template_url", "query_of")}
    shared |= {"reasons": reasons, "story": stories}
    console.record(lambda setup: setup.app.jinja_env.globals.update(shared))
    console.add_app_template_filter(json_shown)

    @console.get("/messages")
    @needs("viewer")
    def messages() -> ResponseReturnValue:
        if wanted_id := request.args.get("id", "").strip():
            return redirect(url_for("console.story", message_id=plain(wanted_id)), 303)
        try:
            its, fault = finding.finding(request.args), ""
        except InvalidPayload as wrong:
            return render_template("messages.html", **_nothing(wrong)), 422
        with parts.database.browse() as connection:
            found, following, is_cut = search.looked_for(connection, its.wanted)
        older = url_for("console.messages", **its.given, cursor=following) if following else ""
        return render_template(
            "messages.html", found=found, its=its, older=older, is_cut=is_cut, fault=fault, **_choices()
        )

    @console.get("/messages/<message_id>")
    @needs("viewer")
    def story(message_id: str) -> ResponseReturnValue:
        with parts.database.browse() as connection:
            message = reading.one(connection, plain(message_id))
            arrival = reading.arrival(connection, plain(message_id))
            if message is None or arrival is None:
                raise NotFound("There is no message with this id, or it is older than the bridge remembers.")
            known = states.read_states(connection, message["destination"])
            now = clock(connection)
            has_worker = samples.live_workers(connection, now) > 0
        return render_template(
            "story.html",
            message=message,
            arrival=arrival,
            chapters=stories.chapters(message, arrival),
            next=stories.what_next(
                message, arrival, known, parts.settings.retry_for, now, has_worker=has_worker
            ),
            fault=stories.template_at_fault(message),
            event=event_of(message),
            leaves=leaves(message),
            is_settled=reading.is_settled(State(message["state"])),
            cancels=again.cancels(message),
        )

    again.register(console, parts)


def _nothing(wrong: Answerable) -> dict[str, Any]:
    its = Finding(Filter(), request.args.to_dict())
    return {"found": [], "its": its, "older": "", "is_cut": False, "fault": wrong.detail, **_choices()}


def _choices() -> dict[str, Any]:
    words = {str(state): words_of(state) for state in State}
    places = [(name, one.words.name) for name, one in declared().items()]
    return {"states": [("", "any"), *words.items()], "places": [("", "any"), *places]}


def event_of(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is asked of a calendar, field by field, in words."""
    request_ = message["request"] or {}
    its = request_.get("event") or {}
    if message["destination"] != "rokt_calendar" or "subscription_ids" not in request_:
        return []
    fields = [
        ("Title", its.get("title")),
        ("Starts", wall(its.get("start"), its.get("timezone"))),
        ("Ends", wall(its.get("end"), its.get("timezone"))),
        ("Time zone", its.get("timezone")),
        ("Place", its.get("location")),
        ("Text", its.get("description")),
        ("Reminder", reminder(its)),
        ("Visible from", wall(its.get("visible_from"), its.get("timezone"))),
        ("Rokt's id of the event", request_.get("rokt_event_id")),
        ("Account", message["account_code"]),
        ("Subscriptions", ", ".join(request_["subscription_ids"]) or "those that hold it"),
    ]
    return [(label, str(value)) for label, value in fields if value not in (None, "")]


def reminder(event: Mapping[str, Any]) -> str | None:
    if "notify_before" not in event:
        return None
    minutes = event["notify_before"]
    return "none" if minutes is None else f"{minutes:,} minutes before"


def wall(at: str | None, zone_name: str | None) -> str | None:
    """A stored instant on the event's own clock."""
    moment = stories.when(at)
    if moment is None:
        return None
    try:
        return f"{wall_text(moment, find_zone(zone_name or 'UTC')).replace('T', ' ')[:16]}"
    except InvalidValue:
        return moment.isoformat()


def leaves(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event as Rokt gets it, where that is certain; else what is asked for, as the bridge keeps it."""
    asked: Mapping[str, Any] = message["request"] or {}
    if (
        message["destination"] != "rokt_calendar"
        or message["action"] == "delete"
        or not asked.get("is_whole")
    ):
        return asked
    try:
        event = CalendarEvent.of(asked["event"])
    except (InvalidPayload, InvalidValue):
        return asked
    if message["is_test"]:
        event = replace(event, title=f"[TEST] {event.title}")
    return {"event": event.rokt(asked["rokt_event_id"]), "subscriptionIds": list(asked["subscription_ids"])}


def json_shown(value: object) -> str:
    told = json.dumps(value, ensure_ascii=False, indent=2)
    return told if len(told) <= MOST_SHOWN else f"{told[:MOST_SHOWN]} … and so on"
