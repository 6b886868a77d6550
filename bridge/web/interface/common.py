"""What operations of many kinds share: parameters, answers, and their forms."""

from __future__ import annotations

import re

from bridge.calendar.zones import TIME, TIME_EXAMPLE
from bridge.errors import (
    InvalidPayload,
    MalformedJson,
    NotConfigured,
    NotFound,
    TooLarge,
    UnsupportedMediaType,
)
from bridge.message import State
from bridge.routes.incoming import MOST_USER_ID
from bridge.web.interface.operation import Answer, Parameter, Schema, ref
from bridge.web.interface.shapes import (
    answer_of,
    anything,
    either,
    many,
    mapping,
    moment,
    one_of,
    or_null,
    text,
    text_or_number,
    whole,
    yes_no,
)
from bridge.web.lists import MOST
from bridge.web.outcome import FLAGS, MOST_WAIT

MESSAGE_ID = "2cf324ac-dbaf-444e-8da8-209a12492fe9"  # in examples
JOB_ID = "b7f0a4be-6c6b-4c7b-9a51-0c1a54ad6b6e"
SUBSCRIPTION_ID = "06423672-b6ba-4536-aa36-f5733866ade2"
SUFFIX = SUBSCRIPTION_ID.rpartition("-")[2]

STATES = one_of(State, "What became of it")

IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "The same key for the same thing within seven days is a repeat, answered with the first one's message. "
    "The body's `idempotency_key` goes first.",
    text(),
)
PREFER = Parameter(
    "Prefer",
    "header",
    f"`wait=N`: answer only when the message is settled, so many seconds later at the latest, {MOST_WAIT:g} at most.",
    text(examples=["wait=5"]),
)


def flag(name: str, words: str) -> Parameter:
    """A yes or no of the query."""
    return Parameter(name, "query", words, one_of(FLAGS, examples=["1"]))


DRY_RUN = flag("dry_run", "Send and store nothing, and show what would leave.")

# Fields that several bodies have.
KEY = or_null(text_or_number("The same key for the same thing within seven days is a repeat"))
DISPATCH_ID = or_null(
    text("Braze's `{{dispatch_id}}`; looked at only to know a test send, of which nothing leaves by itself")
)
USER_ID = text_or_number("Braze's external_id", minLength=1, maxLength=MOST_USER_ID, examples=["u-1"])


def path(name: str, words: str, sample: str, schema: Schema | None = None) -> Parameter:
    return Parameter(name, "path", words, schema or text(minLength=1), is_needed=True, sample=sample)


def time_of(words: str, *others: re.Pattern[str]) -> Schema:
    """A time as it comes in. `others`: what else is understood."""
    patterns = "|".join(one.pattern for one in (TIME, *others))
    return text(words, pattern=rf"^\s*({patterns})?\s*$", examples=[TIME_EXAMPLE])


# Answers

LOCATION = ("Location",)
TAKEN = Answer(202, "Stored, and on its way", ref("Accepted"), LOCATION)
DONE = Answer(
    200,
    "Nothing more is to do: a repeat, skipped or superseded; with `Prefer: wait` the message as it is settled; "
    "with `dry_run` what would leave",
    either(*(ref(name) for name in ("Done", "SettledMessage", "SettledMessages", "DryRun"))),
)
MANY_TAKEN = Answer(
    202,
    "One is stored and on its way; of a list a verdict for each",
    either(ref("Accepted"), ref("Results")),
)
MANY_DONE = Answer(
    200,
    "Nothing more is to do: a repeat, or skipped; with `Prefer: wait` the message as it is settled; with `dry_run` "
    "what would leave",
    either(*(ref(name) for name in ("Done", "SettledMessage", "DryRun", "Results"))),
)

NOT_JSON = Answer.of(MalformedJson, words="with line and column")
WRONG = Answer.of(InvalidPayload, words="nothing of it is kept; `errors` names each field")
WRONG_LIST = Answer.of(InvalidPayload, "ProblemOfList", "nothing of it is kept; `errors` names each field")
TOO_LARGE = Answer.of(TooLarge, words="1 MiB is the most")
NO_FORM = Answer.of(UnsupportedMediaType, words="a form, which is not read here")
OFF = Answer.of(NotConfigured, words="`detail` names the variables that are not set")


def not_found(words: str) -> Answer:
    return Answer.of(NotFound, words=words)


BODY_REFUSALS = (NOT_JSON, TOO_LARGE, NO_FORM, WRONG)


# Their forms

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
