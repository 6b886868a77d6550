"""Sends messages again, or cancels them: counted first, asked for once more, and then watched."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.console import story as stories
from bridge.console.finding import Finding, finding
from bridge.console.roles import needs, person
from bridge.console.words import count
from bridge.errors import Answerable, FieldError, InvalidPayload, NotFound, TemplateRefused
from bridge.message import FILTERS, State
from bridge.outbox import jobs, reading, search
from bridge.outbox.jobs import POSSIBLE, STATES, Kind
from bridge.outbox.reading import Filter
from bridge.routes.incoming import plain
from bridge.web.job_making import Counted, counted, make_job, stop_job
from bridge.web.parts import Parts
from bridge.web.replaying import replay_one

MOST_SELECTED = 100
SELECTED_WITHIN = 15.0  # seconds; whoever waits behind a router is given up at thirty
EXAMPLES = 5
MOST_SEARCH = 4_000  # characters


def register(console: Blueprint, parts: Parts) -> None:
    @console.get("/messages/again")
    @needs("publisher")
    def again() -> ResponseReturnValue:
        return _ask(parts, Kind.REPLAY)

    @console.post("/messages/again")
    @needs("publisher")
    def sent_again() -> ResponseReturnValue:
        ids = [plain(one) for one in request.form.getlist("id")]
        if not ids:
            return _begin(parts, Kind.REPLAY)
        if len(ids) > MOST_SELECTED:
            raise _wrong(
                f"{count(MOST_SELECTED, 'message')} at once are the most: send all of a search instead"
            )
        if "sure" not in request.form:
            return _ask_for_selected(parts, ids)
        flash(*_send_each(parts, ids))
        if len(ids) == 1:
            return redirect(url_for("console.story", message_id=ids[0]), 303)
        return redirect(url_for("console.messages", **_searched()), 303)

    @console.get("/messages/cancel")
    @needs("publisher")
    def cancel() -> ResponseReturnValue:
        return _ask(parts, Kind.CANCEL)

    @console.post("/messages/cancel")
    @needs("publisher")
    def cancelled() -> ResponseReturnValue:
        return _begin(parts, Kind.CANCEL)

    @console.get("/messages/jobs")
    @needs("viewer")
    def jobs_page() -> ResponseReturnValue:
        with parts.database.browse() as connection:
            return render_template("jobs.html", jobs=jobs.listed(connection))

    @console.get("/messages/jobs/<job_id>")
    @needs("viewer")
    def job(job_id: str) -> ResponseReturnValue:
        page = "_job.html" if "HX-Request" in request.headers else "job.html"
        return render_template(page, job=_job(parts, job_id))

    @console.post("/messages/jobs/<job_id>/stop")
    @needs("publisher")
    def job_stopped(job_id: str) -> ResponseReturnValue:
        if stop_job(parts, job_id, by=person().name, request_id=g.request_id):
            flash("Stopped. What was done stays done.", "good")
        return redirect(url_for("console.job", job_id=job_id), 303)


def cancels(message: Mapping[str, Any]) -> dict[str, str]:
    """A filter that finds just this message, with its twins in other accounts, to cancel it; none if it has ended."""
    if State(message["state"]) not in POSSIBLE[Kind.CANCEL]:
        return {}
    received = stories.when(message["received_at"])
    assert received is not None
    given = {
        "user_id": message["user_id"],
        "event_id": message["event_id"],
        "destination": message["destination"],
        "since": received.isoformat(),
        "until": (received + timedelta(milliseconds=1)).isoformat(),
        "state": message["state"] if message["state"] == State.UNCERTAIN else None,
    }
    return {name: value for name, value in given.items() if value}


def _ask(parts: Parts, kind: Kind) -> ResponseReturnValue:
    its = _meant(kind, request.args)
    what = counted(parts, kind, its.wanted)
    return render_template(
        "again.html",
        kind=kind,
        its=its,
        what=what,
        examples=_examples(parts, kind, its.wanted),
        ids=[],
        render=request.args.get("render", ""),
        search={},
    )


def _ask_for_selected(parts: Parts, ids: Sequence[str]) -> ResponseReturnValue:
    with parts.database.browse() as connection:
        found = [message for one in ids if (message := reading.one(connection, one))]
    return render_template(
        "again.html",
        kind=Kind.REPLAY,
        its=None,
        what=None,
        examples=found,
        ids=ids,
        render="",
        search=_searched(),
    )


def _searched() -> dict[str, Any]:
    """The search from which messages were chosen, to come back to it."""
    given = dict(parse_qsl(request.form.get("search", "")[:MOST_SEARCH]))
    return {name: value for name, value in given.items() if name in FILTERS}


def _begin(parts: Parts, kind: Kind) -> ResponseReturnValue:
    its = _meant(kind, request.form)
    options: dict[str, bool] = {}
    if kind == Kind.REPLAY:
        options = {"force": "force" in request.form, "is_current": request.form.get("render") == "current"}
    what: Counted = counted(parts, kind, its.wanted)
    if not what.count and what.is_whole:
        flash("There is none of them any more: nothing was done.", "info")
        return redirect(url_for("console.messages", **its.given), 303)
    job_id = make_job(parts, what, by=person().name, request_id=g.request_id, **options)
    return redirect(url_for("console.job", job_id=job_id), 303)


def _meant(kind: Kind, args: Mapping[str, str]) -> Finding:
    """At least one filter: a slip must not mean every message. Errors: InvalidPayload."""
    its = finding(args, EXAMPLES)
    if not its.given:
        raise _wrong("choose which: without any filter it would be every message there is")
    if its.wanted.state is not None and its.wanted.state not in POSSIBLE[kind]:
        word = "sent again" if kind == Kind.REPLAY else "cancelled"
        raise _wrong(f"messages in this state are not {word}")
    return its


def _wrong(words: str) -> InvalidPayload:
    return InvalidPayload.of(FieldError("", words))


def _examples(parts: Parts, kind: Kind, wanted: Filter) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with parts.database.browse() as connection:
        for state in (wanted.state,) if wanted.state else STATES[kind]:
            its, _, _ = search.looked_for(connection, replace(wanted, state=state))
            found += its
    return found[:EXAMPLES]


def _send_each(parts: Parts, ids: Sequence[str]) -> tuple[str, str]:
    """What to tell, and how it went."""
    until = time.monotonic() + SELECTED_WITHIN
    became: Counter[State] = Counter()
    faults: list[str] = []
    options = {"force": "force" in request.form, "is_current": request.form.get("render") == "current"}
    done = 0
    for one in ids:
        if time.monotonic() > until:
            break
        done += 1
        try:
            became[replay_one(parts, one, **options, by=person().name, request_id=g.request_id).state] += 1
        except TemplateRefused as refusal:
            faults.append(f"still refused: {refusal.detail}")
        except Answerable as wrong:
            faults.append(wrong.detail)
    told = [f"{count(became[State.ACCEPTED], 'message')} on the way again."]
    if other := sum(became.values()) - became[State.ACCEPTED]:
        told.append(f"{count(other, 'message')} left alone: a later one was delivered, or it is skipped now.")
    if faults:
        told.append(
            f"{count(len(faults), 'message')} not sent: {'; '.join(list(dict.fromkeys(faults))[:3])}."
        )
    if done < len(ids):
        told.append(f"{count(len(ids) - done, 'message')} not tried yet, as it took long: select them again.")
    return " ".join(told), "bad" if faults else "good"


def _job(parts: Parts, job_id: str) -> dict[str, Any]:
    with parts.database.browse() as connection:
        found = jobs.one(connection, plain(job_id))
    if found is None:
        raise NotFound("There is no such job, or it is older than the bridge remembers.")
    return found
