"""/console/templates/<name>/webhook: what to paste in Braze for a template."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from bridge.calendar import versions
from bridge.calendar.braze_webhook import ACTIONS, PLACES, webhook
from bridge.console.roles import needs
from bridge.errors import NotFound
from bridge.settings import Settings
from bridge.web.parts import Parts


def register(console: Blueprint, parts: Parts) -> None:
    @console.get("/templates/<name>/webhook")
    @needs("viewer")
    def template_webhook(name: str) -> ResponseReturnValue:
        """What is published; where nothing is, the draft."""
        with parts.database.browse() as connection:
            texts = versions.sources(connection)
            stands = versions.draft(connection, name)
            if name.startswith("_") or (name not in texts and stands is None):
                raise NotFound(versions.unknown(connection, name))
        is_published = name in texts
        if not is_published and stands is not None:
            texts[name] = stands.source
        shape = parts.previews.shape(name, texts)
        chosen = {
            "place": _choice("place", tuple(PLACES)),
            "action": _choice("action", ACTIONS),
            "by": _choice("by", ("attributes", "user")),
        }
        made = webhook(
            name,
            shape.variables,
            _address(parts.settings),
            place=chosen["place"],
            action=chosen["action"],
            key=shape.key,
            by_user=chosen["by"] == "user",
        )
        page = "_webhook.html" if "HX-Request" in request.headers else "webhook.html"
        return render_template(
            page,
            name=name,
            webhook=made,
            fault=shape.fault,
            is_published=is_published,
            places=[(place, words) for place, (_, words) in PLACES.items()],
            chosen=chosen,
        )


def _choice(name: str, allowed: tuple[str, ...]) -> str:
    given = request.args.get(name, "")
    return given if given in allowed else allowed[0]


def _address(settings: Settings) -> str:
    """Where this bridge is called; before it stands a router that speaks https."""
    scheme = request.scheme if settings.is_development else "https"
    return f"{scheme}://{request.host}"
