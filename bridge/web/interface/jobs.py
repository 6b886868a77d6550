"""Jobs over many messages, by a filter; and over what a template's version has put into calendars."""

from __future__ import annotations

from bridge.message import FILTERS
from bridge.outbox.jobs import MOST_LISTED, POSSIBLE, JobState, Kind
from bridge.recall import ACTIONS
from bridge.web.interface import common
from bridge.web.interface.common import BODY_REFUSALS, JOB_ID, LOCATION, flag, not_found, option
from bridge.web.interface.messages import FILTERS_TOLD
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

_RENDERED = ("current",)
_WORDS = {
    "dry_run": "Count alone",
    "force": "Even if a later message of the event was delivered",
    "render": "Rendered anew, with the version published now",
}


def _option(name: str) -> Schema:
    return or_null(one_of(_RENDERED, _WORDS[name])) if name == "render" else option(_WORDS[name])


def _filter(kind: Kind) -> Schema:
    texts = {
        name: {**its, "type": ["string", "integer"]}
        for name, its in FILTERS_TOLD.items()
        if name not in ("state", "since", "until")
    }
    fields: dict[str, Schema] = {
        **FILTERS_TOLD,
        **texts,
        "state": one_of(POSSIBLE[kind]),
        "was_uncertain": {"type": ["boolean", "string", "integer"]},
    }
    options = {name: _option(name) for name in OPTIONS[kind]}
    return object_of(
        (*FILTERS, *OPTIONS[kind]),
        fields | options,
        minProperties=1,
        words="Which messages: one filter at least, and none of them blank; and how",
    )


def _options(kind: Kind) -> tuple[Parameter, ...]:
    """They may stand in the query too."""
    return tuple(
        Parameter("render", "query", _WORDS["render"], one_of(_RENDERED))
        if name == "render"
        else flag(name, _WORDS[name])
        for name in OPTIONS[kind]
    )


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
    "render": or_null(one_of(_RENDERED)),
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
_NO_JOB = not_found("there is no job with this id")
_JOB_PATH = common.path("id", "The job's id", JOB_ID)

GROUP = Group(
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
            (Answer(200, f"The newest {MOST_LISTED}", ref("Jobs")),),
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
