"""/console/forget: what is kept of one person, counted, and erased after a look."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.console.roles import needs, person
from bridge.routes.incoming import Reader, plain
from bridge.web.forgetting import WHO, Wish, forgotten, is_known, looked, read_person
from bridge.web.parts import Parts


def register(console: Blueprint, parts: Parts) -> None:
    @console.get("/forget")
    @needs("publisher")
    def forget() -> ResponseReturnValue:
        return _page(parts, {"user_id": plain(request.args.get("user_id", ""))})

    @console.post("/forget")
    @needs("publisher")
    def forgot() -> ResponseReturnValue:
        """An address is sent in a form alone: what stands in an address of a page stays in many a log."""
        given = {name: plain(request.form.get(name, "")) for name in (*WHO, "recall")}
        if not request.form.get("is_sure"):
            return _page(parts, given)
        reader = Reader()
        who = read_person(reader, _filled(given))
        reader.check()
        wish = Wish(who, recall=bool(given["recall"]))
        job = forgotten(parts, wish, by=person().name, request_id=g.request_id)
        return redirect(url_for("console.job", job_id=job["id"]), 303)


def _page(parts: Parts, given: Mapping[str, str]) -> ResponseReturnValue:
    """With what would go, once somebody is named."""
    filled, reader = _filled(given), Reader()
    found, is_whole = None, True
    if filled:
        who = read_person(reader, filled)
        if not reader.errors:
            found, is_whole = looked(parts, who)
    return render_template(
        "forget.html",
        given={name: given.get(name, "") for name in WHO},
        recall=bool(given.get("recall")),
        may_recall=parts.settings.calendar is not None,
        faults={error.field: error.message for error in reader.errors},
        found=found,
        is_known=found is not None and is_known(found),
        is_whole=is_whole,
    )


def _filled(given: Mapping[str, str]) -> dict[str, str]:
    return {name: its for name in WHO if (its := given.get(name, "").strip())}
