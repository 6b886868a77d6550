"""/console/templates/<name>/realdata: what was really sent, through what is published and through the draft."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from bridge.console.roles import needs
from bridge.console.trying import MOST_PAYLOADS, change_of, payloads_of, with_real_requests
from bridge.routes.incoming import plain
from bridge.web.parts import Parts


def register(console: Blueprint, parts: Parts) -> None:
    @console.get("/templates/<name>/realdata")
    @needs("editor")
    def real_data(name: str) -> ResponseReturnValue:
        with parts.database.browse() as connection:
            change = change_of(connection, plain(name))
        return render_template("real_data.html", name=change.text.name, change=change, most=MOST_PAYLOADS)

    @console.get("/templates/<name>/realdata/tried")
    @needs("editor")
    def real_data_tried(name: str) -> ResponseReturnValue:
        """The fragment that takes a second. `brief`: as the page of publication shows it."""
        with parts.database.browse() as connection:
            change = change_of(connection, plain(name))
            payloads = payloads_of(connection, change)
        return render_template(
            "_real_data.html",
            name=change.text.name,
            change=change,
            tried=with_real_requests(parts, change, payloads),
            is_brief="brief" in request.args,
        )
