"""Schemathesis against the bridge by its own document: counts the cases, and tells what was answered wrongly.

`make fuzz` sends more than 10,000 to a bridge of its own; with `--url` and `--key` to one that runs elsewhere, which
must be one of yours that may be filled with rubbish.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import schemathesis
import structlog
from flask import Flask
from schemathesis import Case, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events
from schemathesis.engine import from_schema as engine_for
from schemathesis.transport.wsgi import WSGITransport
from web.interface.everything import closed, started
from web.running import Bridge, Starter, publish_shipped

from bridge import log
from bridge.database import Database
from bridge.schema import migrate

SEED = 20261122
_SENDS = WSGITransport.send
_OFF = {"enabled": False}
REFUSED = ["400", "401", "403", "404", "405", "409", "413", "415", "422"]
RIGHT = ["2xx", "304", "400", "401", "403", "404", "409", "413", "422"]
_OF_SOCKETS = ("max_redirects", "verify", "cert")
# What the words of the document say and its schemas cannot: 422 is right for a body that they let through.
SAID_IN_WORDS = {
    "sendEvent": "a template has variables of its own, an account has to be found, a time may not exist",
    "createRoktEvent": "subscriptions have to be known, a time may not exist",
    "updateRoktEvent": "needs what was sent before",
    "deleteRoktEvent": "an id holds no control character",
    "tellSubscribers": "an address is one, a text holds no control character",
    "sendConversions": "an address and a hash are some, a time is of the last 18 months",
    "sendEventApiBatch": "an identity is an address or a hash",
    "sendEventApiBatches": "an identity is an address or a hash",
    "sendApiEvents": "somebody is named, a time is of the last 18 months",
    "updateAudiences": "exactly one field names people, and addresses are some",
    "recallVersion": "a number is written without a point",
    "updateAudience": "exactly one field names people, and addresses are some",
    "askOffer": "Liquid that nobody rendered",
    "askOfferByAddress": "nothing personal stands in an address",
    "passOnExperiences": "no name is blank",
    "forgetPerson": "somebody is named, `force` goes with `recall`",
    "listMessages": "a time may not exist",
    "replayMessages": "a filter is not blank, a time may not exist",
    "cancelMessages": "a filter is not blank, a time may not exist",
    "replayMessage": "only what is settled goes again",
    "saveDraft": "the text of a template can be stored",
    "previewTemplate": "a source stands beside no version",
    "publishTemplate": "there has to be a draft that works",
    "rollBackTemplate": "there has to be another version that works",
}
# A delete looks at no field of the event; a key is of any case; a text may mean a number.
READ_KINDLY = ("sendEvent",)
# Rokt's own paths are taken with whatever follows, so that a blank in them is told in words; a message may be called
# replay.
PATHS_THAT_OVERLAP = (
    "createRoktEvent",
    "updateRoktEvent",
    "deleteRoktEvent",
    "replayMessages",
    "cancelMessages",
)
AS_ANOTHER = ("sendApiEvents", "sendEventApiBatches", "updateAudience")  # these read by what others read by
NO_BODY = ("sendEventApiBatch", "sendEventApiBatches")  # 202 without a body is mParticle's answer


@dataclass
class Fuzzed:
    """`by_status`: how often each was answered. `faults`: each kind once, with an example."""

    cases: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    by_operation: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.by_status.items()))
        return f"{self.cases:,} cases over {len(self.by_operation)} operations; {statuses}"


def config(examples: int, key: str, *, is_short: bool = False) -> dict[str, Any]:
    """`examples`: of one operation, in each phase. `is_short`: without walks, and each field once."""
    return {
        "seed": SEED,
        "cache": {"enabled": False},  # every run is the same
        "continue-on-failure": True,
        "headers": {"Authorization": f"Bearer {key}", "Prefer": "wait=0"},  # no worker is there to wait for
        "generation": {
            "max-examples": examples,
            "deterministic": True,
            "no-shrink": True,
            "database": "none",
        },
        "checks": {"negative_data_rejection": {"expected-statuses": REFUSED}},
        "phases": {
            "stateful": {"max-steps": 4, "enabled": not is_short},
            # What was answered before is made use of, but where every run must be the same.
            **{
                name: {"extra-data-sources": {"responses": not is_short}} for name in ("examples", "coverage")
            },
            "fuzzing": {
                "extra-data-sources": {"responses": not is_short},
                "error-feedback": {"enabled": not is_short},
            },
        },
        "operations": [
            *(_without_coverage(name) for name in AS_ANOTHER if is_short),
            *(_checks(name, positive_data_acceptance={"expected-statuses": RIGHT}) for name in SAID_IN_WORDS),
            *(_checks(name, negative_data_rejection={"enabled": False}) for name in READ_KINDLY),
            *(
                _checks(name, allow_header_conformance=_OFF, unsupported_method=_OFF)
                for name in PATHS_THAT_OVERLAP
            ),
        ],
    }


def _without_coverage(name: str) -> dict[str, Any]:
    return {"include-operation-id": name, "phases": {"coverage": _OFF}}


def _checks(name: str, **checks: Any) -> dict[str, Any]:
    return {"include-operation-id": name, "checks": checks}


def fuzz(
    app: Flask | None, document: dict[str, Any], settings: dict[str, Any], url: str | None = None
) -> Fuzzed:
    """`url`: a server that has it; else the application is called in this process."""
    schema = schemathesis.openapi.from_dict(closed(document), config=SchemathesisConfig.from_dict(settings))
    if url is None:
        schema.app = app
    else:
        schema.config.update(base_url=url)
    found = Fuzzed()
    with patch.object(WSGITransport, "send", _send):
        for event in engine_for(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                _count(found, event)
            elif isinstance(event, events.NonFatalError):
                found.faults[f"{event.label}: {event.value!r}"[:300]] = str(event.info)[:1000]
            elif isinstance(event, events.FatalError):
                raise event.exception
    return found


def _send(transport: WSGITransport, case: Case, **given: Any) -> Response:
    """Schemathesis asks without a key by means that only a socket has."""
    return _SENDS(transport, case, **{name: its for name, its in given.items() if name not in _OF_SOCKETS})


def _count(found: Fuzzed, event: events.ScenarioFinished) -> None:
    recorder = event.recorder
    for case_id, interaction in recorder.interactions.items():
        found.cases += 1
        found.by_operation[recorder.cases[case_id].value.operation.label] += 1
        if interaction.response is not None:
            found.by_status[interaction.response.status_code] += 1
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.status != Status.FAILURE or check.failure_info is None or _is_told(recorder, case_id):
                continue
            label = recorder.cases[case_id].value.operation.label
            failure = check.failure_info.failure
            kind = f"{label}: {check.name}: {failure.title}"
            interaction = recorder.interactions[case_id]
            answer = interaction.response
            told = f"{failure.message}\n  {check.failure_info.code_sample}"
            if answer is not None:
                told += f"\n  -> {answer.status_code} {answer.content[:400]!r}"
            found.faults.setdefault(kind, told)


def _is_told(recorder: Any, case_id: str) -> bool:
    """202 without a body, where a body may come too: OpenAPI has no words for that."""
    operation = recorder.cases[case_id].value.operation
    answer = recorder.interactions[case_id].response
    is_empty = answer is not None and answer.status_code == 202 and not answer.content
    return is_empty and operation.definition.raw["operationId"] in NO_BODY


def main() -> int:
    asked = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    asked.add_argument("--examples", type=int, default=100, help="of one operation, in each phase")
    asked.add_argument("--url", help="a running bridge instead of one of its own")
    asked.add_argument("--key", default="all-secret", help="a key of all scopes")
    given = asked.parse_args()
    settings = config(given.examples, given.key)
    if given.url:
        with urllib.request.urlopen(f"{given.url}/openapi.json", timeout=30) as answer:
            found = fuzz(None, json.load(answer), settings, given.url)
    else:
        with TemporaryDirectory() as folder, fresh(Path(folder)) as bridge:
            found = fuzz(bridge.app, bridge.call("GET", "/openapi.json").body, settings)
    for kind, told in found.faults.items():
        print(f"\n{kind}\n  {told}")
    print(f"\n{found}; {len(found.faults)} kinds of fault")
    return 1 if found.faults else 0


@contextmanager
def fresh(folder: Path) -> Iterator[Bridge]:
    """A bridge on an empty database, that says nothing of each request."""
    url = f"sqlite:///{folder / 'bridge.db'}"
    database = Database(url)
    migrate(database)
    database.close()
    publish_shipped(url)
    start = Starter(url, folder)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with patch.object(log, "set_up"), start.stack, started(start) as bridge:
        yield bridge


if __name__ == "__main__":
    sys.exit(main())
