"""What operations of many kinds share: parameters, answers, and their forms."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bridge.calendar.zones import TIME, TIME_EXAMPLE
from bridge.errors import (
    InvalidPayload,
    MalformedJson,
    NotConfigured,
    NotFound,
    TooLarge,
    UnsupportedMediaType,
)
from bridge.routes.incoming import MOST_USER_ID
from bridge.web.interface.operation import Answer, Parameter, Schema, ref
from bridge.web.interface.shapes import (
    either,
    one_of,
    or_null,
    text,
    text_or_number,
)
from bridge.web.outcome import FLAGS, MOST_WAIT

MESSAGE_ID = "2cf324ac-dbaf-444e-8da8-209a12492fe9"  # in examples
JOB_ID = "b7f0a4be-6c6b-4c7b-9a51-0c1a54ad6b6e"
SUBSCRIPTION_ID = "06423672-b6ba-4536-aa36-f5733866ade2"
SUFFIX = SUBSCRIPTION_ID.rpartition("-")[2]

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


def query(fields: Mapping[str, Schema]) -> tuple[Parameter, ...]:
    """What may be asked for in the address."""
    return tuple(Parameter(name, "query", its.get("description", ""), its) for name, its in fields.items())


def option(words: str) -> Schema:
    """A yes or no of a body."""
    return {"type": ["boolean", "string", "integer", "null"], "description": words}


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


UNREADABLE = (NOT_JSON, TOO_LARGE, NO_FORM)
BODY_REFUSALS = (*UNREADABLE, WRONG)
LIST_REFUSALS = (*UNREADABLE, WRONG_LIST, OFF)
