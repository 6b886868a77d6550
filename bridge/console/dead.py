"""/console/dead: what failed and needs a person, by cause, with what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from bridge.console.finding import query_of
from bridge.console.reasons import Spot, in_words, spot, what_to_do
from bridge.console.roles import needs
from bridge.message import State
from bridge.outbox import causes
from bridge.outbox.causes import Failures
from bridge.outbox.reading import received, shown
from bridge.web.parts import Parts
from bridge.web.server import in_turn

NAV = (("Needs you", "dead"),)
STATES = (State.DEAD, State.UNCERTAIN)
MOST_GROUPS = 50


@dataclass(frozen=True)
class Card:
    """A group with its words, and those of its newest message.

    `newest`: that message; `first_at`: when the first of those looked at came.
    """

    its: Failures
    words: str
    last_words: str
    to_do: str
    spot: Spot | None
    query: dict[str, str]
    newest: dict[str, Any]
    first_at: Any


def register(console: Blueprint, parts: Parts) -> None:
    @console.get("/dead")
    @needs("viewer")
    def dead() -> ResponseReturnValue:
        with parts.database.browse() as connection:
            looked = {state: causes.newest(connection, state) for state in STATES}
        is_whole = all(is_all for _, is_all in looked.values())
        # Without a connection in hand: whoever computes before may take a while.
        groups = [one for state, (rows, _) in looked.items() for one in in_turn(causes.grouped, state, rows)]
        shown_groups = sorted(groups, key=lambda one: -one.count)[:MOST_GROUPS]
        with parts.database.browse() as connection:
            newest = shown(connection, [one.newest for one in shown_groups])
            first = received(connection, [one.oldest for one in shown_groups])
        cards = [
            _card(group, message, first.get(group.oldest))
            for group, message in zip(shown_groups, newest, strict=True)
        ]
        return render_template(
            "dead.html",
            cards=cards,
            is_whole=is_whole,
            most=causes.MOST_LOOKED_AT,
            total=sum(one.count for one in groups),
            hidden=len(groups) - len(cards),
        )


def _card(its: Failures, newest: dict[str, Any], first_at: Any) -> Card:
    return Card(
        its,
        in_words(its.cause, its.destination, is_refused=its.is_refused),
        in_words(its.example, its.destination, is_refused=its.is_refused),
        what_to_do(its.example, its.destination, is_refused=its.is_refused),
        spot(its.example) if its.is_refused else None,
        query_of(its.state, its.destination, its.template, its.cause),
        newest,
        first_at,
    )
