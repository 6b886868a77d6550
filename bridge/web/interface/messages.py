"""Messages: what was accepted, looked at and sent again."""

from __future__ import annotations

from bridge.errors import InvalidPayload, TemplateRefused
from bridge.message import FILTERS, State
from bridge.outbox.reading import MOST_LISTED
from bridge.web.filters import PAGE
from bridge.web.interface import common, forms
from bridge.web.interface.common import MESSAGE_ID, WRONG, flag, not_found
from bridge.web.interface.operation import Answer, Example, Group, Operation, Parameter, Schema, ref
from bridge.web.interface.shapes import (
    answer_of,
    many,
    object_of,
    one_of,
    or_null,
    text,
)

_EXACT = text("Exactly this")
FILTERS_TOLD: dict[str, Schema] = {
    "state": one_of((*State, "")),
    "destination": _EXACT,
    "user_id": _EXACT,
    "event_id": text("Yours, or Rokt's"),
    "template": _EXACT,
    "reason": text("What the reason begins with"),
    "cause": text("The reason as the console groups it, with `…` for what differs"),
    "was_uncertain": text(
        "`true` or `false`", pattern="^([Tt]rue|[Ff]alse|[Yy]es|[Nn]o|[01]|[Oo]n|[Oo]ff|)$"
    ),
    "since": common.time_of("A time of acceptance; without an offset in UTC"),
    "until": common.time_of("The same"),
}
_PAGE_TOLD: dict[str, Schema] = {
    "limit": text(f"50 if not given; {MOST_LISTED} at most are given", pattern="^[0-9]{0,18}$"),
    "cursor": text("`next` of an earlier answer", pattern="^[0-9]{0,18}$"),
}
_LIST = object_of((*FILTERS, *PAGE), FILTERS_TOLD | _PAGE_TOLD)["properties"]
_NO_MESSAGE = not_found("there is no message with this id")
_MESSAGE = common.path("id", "The message's id", MESSAGE_ID)
GROUP = Group(
    "Messages",
    "Whatever was accepted is a message: stored, tried until it is delivered, and to be looked at.",
    (
        Operation(
            "GET",
            "/v1/messages",
            "listMessages",
            "The messages, the newest first",
            (Answer(200, "A page of them", ref("Messages")), WRONG),
            (
                Example("Those that are dead", 200, query={"state": "dead", "limit": "10"}),
                Example("No such filter", 422, query={"status": "dead"}),
            ),
            parameters=common.query(_LIST),
        ),
        Operation(
            "GET",
            "/v1/messages/{id}",
            "showMessage",
            "One message",
            (Answer(200, "The message, with the body that was sent in", ref("WholeMessage")), _NO_MESSAGE),
            (Example("By an id of yours", 200), Example("None", 404, path={"id": "nobody"})),
            parameters=(_MESSAGE,),
        ),
        Operation(
            "POST",
            "/v1/messages/{id}/replay",
            "replayMessage",
            "Send a settled message again",
            (
                Answer(202, "It is on its way again", ref("Replayed")),
                Answer(
                    200, "Nothing leaves: it was overtaken, or its template skips it now", ref("Replayed")
                ),
                _NO_MESSAGE,
                Answer.of(
                    TemplateRefused,
                    "ProblemOfTemplate",
                    f"it stays dead, with the new reason. Or: {InvalidPayload.title}: it is still on its way",
                ),
            ),
            (Example("By the id of a dead one", 202), Example("None", 404, path={"id": "nobody"})),
            parameters=(
                _MESSAGE,
                flag("force", "Even if a later message of the event was delivered."),
                Parameter(
                    "render",
                    "query",
                    "Rendered anew from what was sent in, with the version published now.",
                    one_of(("current", "")),
                ),
            ),
        ),
    ),
    {
        "Messages": answer_of(
            {"messages": many(ref("Message")), "next": or_null(text("The `cursor` of the next page"))}
        ),
        "Replayed": answer_of(
            {
                "id": text(),
                "ids": many(text(), "All messages, where it became several"),
                "state": forms.STATES,
                "reason": text(),
                "request_id": text(),
            },
            may_miss=("ids", "reason"),
        ),
    },
)
