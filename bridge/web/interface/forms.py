"""The forms that operations of many kinds answer in: messages, verdicts, errors, what would leave."""

from __future__ import annotations

from bridge.message import State
from bridge.web.interface.operation import Schema, ref
from bridge.web.interface.shapes import (
    answer_of,
    anything,
    many,
    mapping,
    moment,
    one_of,
    or_null,
    text,
    whole,
    yes_no,
)
from bridge.web.lists import MOST

STATES = one_of(State, "What became of it")

_ID = text("The message's id")
_REQUEST_ID = text("That of the header X-Request-Id: it finds the request in the log")
_IDS = many(text(), "All messages, where one request made several")
_REASON = text("Why nothing leaves, or why it has not left")
_WARNINGS = many(text(), "What leaves otherwise than its author may think")

_MESSAGE: dict[str, Schema] = {
    "id": _ID,
    "state": STATES,
    "destination": text("Where it goes"),
    "action": text("What is asked for there"),
    "user_id": or_null(text("Of Braze")),
    "event_id": or_null(text("The caller's, or a conversion's")),
    "account_code": text("Rokt's, blank where there is none"),
    "template": or_null(text("By which it was rendered")),
    "version": or_null(whole("Of the template")),
    "is_test": yes_no("A test send of Braze"),
    "request_id": _REQUEST_ID,
    "received_at": moment("When it was accepted"),
    "due_at": or_null(moment("When its next call is due")),
    "settled_at": or_null(moment("When it was settled")),
    "expires_at": or_null(moment("What has not left by then is dead")),
    "reason": or_null(text("Why it is as it is")),
    "waits_for": or_null(text("The message of the same event that goes first")),
    "was_uncertain": yes_no("A call was written, and no whole answer came"),
    "request": or_null(mapping(words="What it asks for, in the bridge's own form")),
    "attempts": many(ref("Attempt"), "Its calls, the first one first"),
}
_PAYLOAD = anything("The body that was sent in")
_ACCEPTED: dict[str, Schema] = {"id": _ID, "ids": _IDS, "state": STATES, "request_id": _REQUEST_ID}
_PROBLEM: dict[str, Schema] = {
    "title": text("What is wrong, the same for every such refusal"),
    "status": whole("The status of the answer"),
    "detail": text("What is wrong here, in words for people"),
    "errors": many(ref("FieldError"), "Each field that is wrong"),
    "request_id": _REQUEST_ID,
}
_RESULT: dict[str, Schema] = {
    "index": whole("The place in the list, from 0"),
    "id": _ID,
    "ids": _IDS,
    "is_repeat": yes_no("It was sent before"),
    "state": STATES,
    "reason": _REASON,
    "errors": many(ref("FieldError"), "What is wrong with this one; the others are taken all the same"),
    "dry_run": yes_no("A test send: it is shown and not sent"),
    "requests": many(ref("Call")),
}

SCHEMAS: dict[str, Schema] = {
    "Problem": answer_of(_PROBLEM, words="An error (RFC 9457)"),
    "ProblemOfList": answer_of(
        _PROBLEM | {"results": many(ref("Result"))},
        may_miss=("results",),
        words="An error; `results` where none of a list is right",
    ),
    "FieldError": answer_of(
        {"field": text("Its name, blank for the whole"), "message": text("What would be right")}
    ),
    "Accepted": answer_of(
        _ACCEPTED | {"warnings": _WARNINGS}, may_miss=("ids", "warnings"), words="Stored, and on its way"
    ),
    "Done": answer_of(
        _ACCEPTED | {"is_repeat": yes_no("It was sent before"), "reason": _REASON, "warnings": _WARNINGS},
        may_miss=("ids", "is_repeat", "reason", "warnings"),
        words="Nothing more is to do",
    ),
    "SettledMessage": answer_of(
        _MESSAGE | {"payload": _PAYLOAD, "ids": _IDS, "warnings": _WARNINGS},
        may_miss=("ids", "warnings"),
        words="The message that was waited for",
    ),
    "SettledMessages": answer_of(
        _ACCEPTED | {"messages": many(ref("WholeMessage")), "warnings": _WARNINGS},
        may_miss=("ids", "warnings"),
        words="The messages that were waited for; `state` is delivered if all are",
    ),
    "DryRun": answer_of(
        {
            "dry_run": yes_no(const=True),
            "requests": many(ref("Call"), "What would leave, without Authorization"),
            "reason": _REASON,
            "warnings": _WARNINGS,
            "results": many(ref("Result"), "Those of a list that are not right"),
            "request_id": _REQUEST_ID,
        },
        may_miss=("reason", "warnings", "results"),
        words="What would leave; nothing was sent and nothing stored",
    ),
    "Call": answer_of(
        {"method": text(), "url": text(), "headers": mapping(text()), "body": anything()},
        words="A call as it would leave",
    ),
    "Result": answer_of(_RESULT, may_miss=tuple(_RESULT)[1:], words="The verdict on one of a list"),
    "Results": answer_of(
        {"results": many(ref("Result"), maxItems=MOST), "request_id": _REQUEST_ID},
        words="The verdicts on a list, in its order",
    ),
    "Message": answer_of(_MESSAGE, words="A message, as a list shows it"),
    "WholeMessage": answer_of(
        _MESSAGE | {"payload": _PAYLOAD}, words="A message, with the body that was sent in"
    ),
    "Attempt": answer_of(
        {
            "at": moment(),
            "status": or_null(whole("The upstream's")),
            "ms": whole("How long it took"),
            "answer": text("Cut, without addresses and tokens"),
        },
        words="A call that was made for a message",
    ),
}
