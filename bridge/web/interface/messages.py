"""Messages, and jobs over many of them."""

from __future__ import annotations

from bridge.errors import InvalidPayload, TemplateRefused
from bridge.message import FILTERS, State
from bridge.outbox import jobs as outbox_jobs
from bridge.outbox.jobs import POSSIBLE, JobState, Kind
from bridge.outbox.reading import MOST_LISTED
from bridge.recall import ACTIONS
from bridge.web.filters import PAGE
from bridge.web.interface import common
from bridge.web.interface.common import BODY_REFUSALS, JOB_ID, LOCATION, MESSAGE_ID, WRONG, flag, not_found
from bridge.web.interface.operation import Answer, Example, Group, Operation, Parameter, Schema, ref
from bridge.web.interface.shapes import (
    answer_of,
    many,
    mapping,
    moment,
    object_of,
    one_of,
    or_null,
    text,
    whole,
    yes_no,
)
from bridge.web.jobs import OPTIONS
from bridge.web.recalls import KEYS

_EXACT = text("Exactly this")
_WORDS: dict[str, Schema] = {
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
_PAGE_WORDS: dict[str, Schema] = {
    "limit": text(f"50 if not given; {MOST_LISTED} at most are given", pattern="^[0-9]{0,18}$"),
    "cursor": text("`next` of an earlier answer", pattern="^[0-9]{0,18}$"),
}
_LIST = object_of((*FILTERS, *PAGE), _WORDS | _PAGE_WORDS)["properties"]
_FLAG: Schema = {"type": ["boolean", "string", "integer", "null"]}
_RENDER = or_null(one_of(("current",), "Rendered anew, with the version published now"))
_OPTION_WORDS: dict[str, Schema] = {
    "dry_run": {**_FLAG, "description": "Count alone"},
    "force": {**_FLAG, "description": "Even if a later message of the event was delivered"},
    "render": _RENDER,
}


def _filter(kind: Kind) -> Schema:
    texts = {
        name: {**its, "type": ["string", "integer"]}
        for name, its in _WORDS.items()
        if name not in ("state", "since", "until")
    }
    fields: dict[str, Schema] = {
        **_WORDS,
        **texts,
        "state": one_of(POSSIBLE[kind]),
        "was_uncertain": {"type": ["boolean", "string", "integer"]},
    }
    options = {name: _OPTION_WORDS[name] for name in OPTIONS[kind]}
    return object_of(
        (*FILTERS, *OPTIONS[kind]),
        fields | options,
        minProperties=1,
        words="Which messages: one filter at least, and none of them blank; and how",
    )


def _options(kind: Kind) -> tuple[Parameter, ...]:
    """They may stand in the query too."""
    words = {
        "dry_run": flag("dry_run", "Count alone."),
        "force": flag("force", "Even if a later message of the event was delivered."),
        "render": Parameter(
            "render", "query", "Rendered anew, with the version published now.", one_of(("current",))
        ),
    }
    return tuple(words[name] for name in OPTIONS[kind])


_COUNT = {
    "count": whole("How many it is about"),
    "request_id": text(),
    "is_count_whole": yes_no("false: at least so many"),
}
_JOB: dict[str, Schema] = {
    "id": text(),
    "kind": one_of(Kind),
    "state": one_of(JobState),
    "filter": mapping(words="Which messages it is about"),
    "force": yes_no("Of a replay, or of an erasure"),
    "render": _RENDER,
    "action": one_of(ACTIONS, "Of a recall"),
    "recall": yes_no("Of an erasure"),
    "forgotten": mapping(whole(), "What an erasure took away"),
    "count": whole("How many it is about"),
    "is_count_whole": yes_no("false: at least so many"),
    "done": whole(),
    "skipped": whole("Left alone"),
    "failed": whole(),
    "reasons": mapping(whole(), "Why, with how many of each"),
    "reason": or_null(text("Why the job itself failed")),
    "by": text("The key, or the person"),
    "request_id": text(),
    "created_at": moment(),
    "started_at": or_null(moment()),
    "finished_at": or_null(moment()),
}
_MADE = (
    Answer(202, "A job, which the workers do piece by piece", ref("JobMade"), LOCATION),
    Answer(200, "With `dry_run`: how many it would be about", ref("JobCounted")),
)
_NO_MESSAGE = not_found("there is no message with this id")
_NO_JOB = not_found("there is no job with this id")
_MESSAGE = common.path("id", "The message's id", MESSAGE_ID)
_JOB_PATH = common.path("id", "The job's id", JOB_ID)

MESSAGES = Group(
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
            parameters=[
                Parameter(name, "query", its.get("description", ""), its) for name, its in _LIST.items()
            ],
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
                    f"or `{InvalidPayload.title}`, while it is still on its way",
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
                "state": common.STATES,
                "reason": text(),
                "request_id": text(),
            },
            may_miss=("ids", "reason"),
        ),
    },
)

JOBS = Group(
    "Jobs",
    "Many messages at once, by a filter; and what stands in calendars already.",
    (
        Operation(
            "POST",
            "/v1/messages/replay",
            "replayMessages",
            "Send many again",
            (*_MADE, *BODY_REFUSALS),
            (
                Example("How many would it be", 200, {"template": "flash_sale", "dry_run": True}),
                Example("All that are dead", 202, {"state": "dead"}),
            ),
            parameters=_options(Kind.REPLAY),
            body=ref("ReplayFilter"),
        ),
        Operation(
            "POST",
            "/v1/messages/cancel",
            "cancelMessages",
            "End many that are still on their way",
            (*_MADE, *BODY_REFUSALS),
            (
                Example("How many would it be", 200, {"template": "flash_sale"}, query={"dry_run": "1"}),
                Example("Those of a template", 202, {"template": "flash_sale"}),
            ),
            parameters=_options(Kind.CANCEL),
            body=ref("CancelFilter"),
        ),
        Operation(
            "POST",
            "/v1/templates/{name}/recall",
            "recallVersion",
            "Take back what a version has put into calendars",
            (*_MADE, not_found("there is no such version"), *BODY_REFUSALS),
            (
                Example(
                    "How many would it be", 200, {"version": 1, "action": "delete"}, query={"dry_run": "1"}
                ),
                Example("No such version", 404, {"version": 1000, "action": "delete"}),
            ),
            more="`update`: made again by the version that is published now, from what its caller sent then.",
            parameters=(
                common.path("name", "The template's name", "flash_sale"),
                flag("dry_run", "Count alone."),
            ),
            body=ref("RecallRequest"),
        ),
        Operation(
            "GET",
            "/v1/jobs",
            "listJobs",
            "The jobs, the newest first",
            (Answer(200, f"The newest {outbox_jobs.MOST_LISTED}", ref("Jobs")),),
            (Example("All", 200),),
        ),
        Operation(
            "GET",
            "/v1/jobs/{id}",
            "showJob",
            "How far a job is",
            (Answer(200, "The job", ref("Job")), _NO_JOB),
            (Example("By an id of yours", 200), Example("None", 404, path={"id": "nobody"})),
            parameters=(_JOB_PATH,),
        ),
        Operation(
            "DELETE",
            "/v1/jobs/{id}",
            "stopJob",
            "Stop a job where it is",
            (Answer(200, "The job. What was done stays done", ref("Job")), _NO_JOB),
            (Example("By an id of yours", 200), Example("None", 404, path={"id": "nobody"})),
            parameters=(_JOB_PATH,),
        ),
    ),
    {
        "ReplayFilter": _filter(Kind.REPLAY),
        "CancelFilter": _filter(Kind.CANCEL),
        "RecallRequest": object_of(
            KEYS,
            {
                "version": whole("As `versions` tells them", minimum=1, maximum=2**31 - 1),
                "action": one_of(ACTIONS),
            },
            needed=KEYS,
        ),
        "JobMade": answer_of({"job": text("Its id")} | _COUNT, may_miss=("is_count_whole",)),
        "JobCounted": answer_of({"dry_run": yes_no(const=True)} | _COUNT, may_miss=("is_count_whole",)),
        "Job": answer_of(_JOB, may_miss=("force", "render", "action", "recall", "forgotten")),
        "Jobs": answer_of({"jobs": many(ref("Job"))}),
    },
)
