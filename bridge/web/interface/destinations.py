"""Destinations: their state and what waits for them."""

from __future__ import annotations

from bridge.outbox.states import CLOSED, OPEN
from bridge.web.interface import common
from bridge.web.interface.common import not_found
from bridge.web.interface.operation import Answer, Example, Group, Operation, Schema, ref
from bridge.web.interface.shapes import answer_of, many, moment, number, one_of, or_null, text, whole, yes_no

_STATE: dict[str, Schema] = {
    "state": one_of(
        (OPEN, CLOSED, "probing", "paused"), "`probing`: closed, and a call looks whether it answers again"
    ),
    "reason": or_null(text("Why it is so")),
    "since": or_null(moment("Since when")),
}
_DESTINATION: dict[str, Schema] = {
    "name": text(),
    "is_configured": yes_no("Its variables are set"),
    **_STATE,
    "waiting": whole("Messages that are not settled"),
    "oldest": or_null(moment("When the oldest of them was accepted")),
    "rate": or_null(number("Calls a second with each credential; 0: as many as go")),
    "held_until": or_null(moment("What a Retry-After asks for")),
    "halved_until": or_null(moment("After a 429 without one")),
    "accounts": many(
        answer_of(
            {
                "account_code": text(),
                "state": one_of((CLOSED,)),
                "reason": or_null(text()),
                "since": or_null(moment()),
            }
        ),
        "Those that are closed by themselves",
    ),
}


def _turn(verb: str, name: str, words: str, more: str) -> Operation:
    return Operation(
        "POST",
        "/v1/destinations/{name}/" + verb,
        name,
        words,
        (Answer(200, "Its state", ref("DestinationState")), not_found("with the names that there are")),
        (Example("Rokt Calendar", 200), Example("None", 404, path={"name": "nowhere"})),
        more=more,
        parameters=(common.path("name", "The destination's name", "rokt_calendar"),),
    )


GROUP = Group(
    "Destinations",
    "Where messages go: whether they leave, and what waits.",
    (
        Operation(
            "GET",
            "/v1/destinations",
            "listDestinations",
            "Their state, and what waits",
            (Answer(200, "Each that is configured, or for which something waits", ref("Destinations")),),
            (Example("All", 200),),
        ),
        _turn(
            "pause",
            "pauseDestination",
            "Nothing leaves until it may again",
            "Everything is accepted as ever. Calls under way come to their end.",
        ),
        _turn("resume", "resumeDestination", "It may leave again", ""),
    ),
    {
        "Destinations": answer_of({"destinations": many(answer_of(_DESTINATION))}),
        "DestinationState": answer_of({"name": text(), **_STATE}),
    },
)
