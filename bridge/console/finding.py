"""Which messages a page is about: its filter, from an address or a form, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from flask import url_for

from bridge.console.reasons import in_words, place
from bridge.console.words import words_of
from bridge.message import FILTERS, State
from bridge.outbox.reading import Filter
from bridge.routes.incoming import plain
from bridge.web import filters

NO_TEMPLATE = "(none)"  # in a template's place: what no template made
_PLAIN_ID = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_@+")


@dataclass(frozen=True)
class Finding:
    """`given`: the filter as it stands in an address."""

    wanted: Filter
    given: Mapping[str, Any]

    @property
    def words(self) -> str:
        """The messages that it finds, in words."""
        its = self.given
        parts = []
        if template := its.get("template"):
            parts.append("that no template made" if template == NO_TEMPLATE else f"of {template}")
        if user := its.get("user_id"):
            parts.append(f"of {user}")
        if event := its.get("event_id"):
            parts.append(f"about the event {event}")
        if destination := its.get("destination"):
            parts.append(f"to {place(destination)}")
        if state := its.get("state"):
            parts.append(f"that are “{words_of(state, its.get('destination', ''))}”")
        if cause := its.get("cause") or its.get("reason"):
            parts.append(f"because “{in_words(cause, its.get('destination', ''), is_refused=True)}”")
        if its.get("was_uncertain"):
            parts.append("that were unclear" if self.wanted.was_uncertain else "that were never unclear")
        for name, word in (("since", "from"), ("until", "to")):
            if its.get(name):
                parts.append(f"{word} {its[name].replace('T', ' ')}")
        return " ".join(["messages", *parts])


def finding(args: Mapping[str, str], limit: int = 50) -> Finding:
    """Errors: InvalidPayload."""
    given = {name: plain(value.strip()) for name in FILTERS if (value := args.get(name)) and value.strip()}
    asked: dict[str, Any] = dict(given)
    has_none = asked.get("template") == NO_TEMPLATE
    if has_none:
        del asked["template"]
    page = {"cursor": args["cursor"]} if args.get("cursor") else {}
    wanted = replace(filters.of_list(asked | page), limit=limit)
    return Finding(replace(wanted, template="") if has_none else wanted, given)


def query_of(
    state: State | str = "", destination: str = "", template: str | None = None, cause: str = ""
) -> dict[str, str]:
    """The address's filter for a group of messages."""
    named = NO_TEMPLATE if template is None or template == "" else template
    given = {"state": str(state), "destination": destination, "template": named, "cause": cause}
    return {name: value for name, value in given.items() if value}


def person_url(user_id: str, **query: Any) -> str:
    """A person's page. An id that a browser or a server would read as more than a name stands in the query."""
    if user_id and len(user_id) <= 200 and set(user_id) <= _PLAIN_ID:
        return url_for("console.person", user_id=user_id, **query)
    return url_for("console.people", user_id=user_id, **query)


def template_url(name: str, version: int | None = None, *, line: int | None = None) -> str:
    """Where a template is written, to the line, or what one of its versions was; "": all templates."""
    path = f"{url_for('console.home').removesuffix('/go')}/templates/{quote(name, safe='')}".rstrip("/")
    path += "" if version is None else f"/versions/{version}"
    return path if line is None else f"{path}#line-{line}"
