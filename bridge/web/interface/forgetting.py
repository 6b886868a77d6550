"""Erasure of one person."""

from __future__ import annotations

from bridge.outbox.jobs import JobState
from bridge.routes.incoming import MOST_USER_ID
from bridge.web.forgetting import MOST_SUBSCRIPTION_ID, OPTIONS, WHO
from bridge.web.interface.common import BODY_REFUSALS, LOCATION, OFF, flag, option
from bridge.web.interface.operation import Answer, Example, Group, Operation, Schema, ref
from bridge.web.interface.shapes import (
    answer_of,
    either,
    mapping,
    object_of,
    one_of,
    text,
    text_or_number,
    whole,
    yes_no,
)

_WORDS = {
    "recall": "First delete what is to come in the person's calendars",
    "force": "With `recall`: erase though a delete at Rokt failed",
    "dry_run": "Only tell what would go",
}
_FIELDS: dict[str, Schema] = {
    "user_id": text_or_number("Braze's external_id", minLength=1, maxLength=MOST_USER_ID),
    "email": text("The address, whose hash is looked for too", minLength=1),
    "subscription_id": text_or_number("One of Rokt Calendar's", minLength=1, maxLength=MOST_SUBSCRIPTION_ID),
    **{name: option(words) for name, words in _WORDS.items()},
}
_COUNTS = mapping(whole(), "How many of each kind of thing")
_KNOWN = yes_no("Something was there of this person")
_JOB: dict[str, Schema] = {
    "job": text("Its id"),
    "state": one_of(JobState),
    "forgotten": _COUNTS,
    "request_id": text(),
}

GROUP = Group(
    "People",
    "What is kept of one person goes; ids, states and times of messages stay.",
    (
        Operation(
            "POST",
            "/v1/forget",
            "forgetPerson",
            "Erase what is kept of one person",
            (
                Answer(
                    200, "It is done; or with `dry_run` what would go", either(ref("Forgotten"), ref("Known"))
                ),
                Answer(202, "A job, with which the workers go on", ref("Forgetting"), LOCATION),
                *BODY_REFUSALS,
                OFF,
            ),
            (
                Example("What would go", 200, {"user_id": "u-7", "dry_run": True}),
                Example("By all that you have", 200, {"user_id": "u-7", "email": "carl@example.com"}),
            ),
            more="Give all that you have of the person: what the ledger does not link it cannot find.",
            parameters=[flag(name, f"{words}.") for name, words in _WORDS.items()],
            body=ref("PersonToForget"),
        ),
    ),
    {
        "PersonToForget": object_of(
            (*WHO, *OPTIONS),
            _FIELDS,
            minProperties=1,
            words=f"One person, by at least one of {', '.join(WHO)}",
        ),
        "Known": answer_of(
            {
                "dry_run": yes_no(const=True),
                "known": _KNOWN,
                "found": _COUNTS,
                "request_id": text(),
                "is_count_whole": yes_no("false: at least so many"),
            },
            may_miss=("is_count_whole",),
        ),
        "Forgotten": answer_of({"known": _KNOWN} | _JOB),
        "Forgetting": answer_of(_JOB),
    },
)
