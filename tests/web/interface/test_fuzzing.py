"""Thousands of requests that Schemathesis makes of the document: all are answered as it says."""

from __future__ import annotations

import copy

from web.interface.everything import started
from web.interface.fuzzing import config, fuzz
from web.running import Starter, secret


def test_whatever_comes_is_answered_as_the_document_says(start: Starter) -> None:
    """No 5xx, no status, header, type or field that is not told; without a key nothing; what is wrong is refused."""
    with started(start) as bridge:
        document = bridge.call("GET", "/openapi.json").body

        found = fuzz(bridge.app, document, config(2, secret("all"), is_short=True))

    print(found)
    assert not found.faults, "\n".join(f"{kind}\n  {told}" for kind, told in found.faults.items())
    assert found.cases > 3_500
    told = {f"{method.upper()} {path}" for path, its in document["paths"].items() for method in its}
    assert told == set(found.by_operation)


def test_what_the_document_does_not_tell_is_found(start: Starter) -> None:
    """Or all this would have nothing to say of anything."""
    with started(start) as bridge:
        document = copy.deepcopy(bridge.call("GET", "/openapi.json").body)
        health = document["paths"]["/healthz"]["get"]
        document["paths"] = {"/healthz": {"get": health}, "/v1/jobs": document["paths"]["/v1/jobs"]}
        del document["components"]["schemas"]["Health"]["properties"]["version"]
        document["components"]["schemas"]["Health"]["required"] = ["status"]
        del document["paths"]["/v1/jobs"]["get"]["responses"]["401"]

        found = fuzz(bridge.app, document, config(2, "nobody's", is_short=True))

    assert {kind.partition(": ")[2].partition(":")[0] for kind in found.faults} >= {
        "response_schema_conformance",
        "status_code_conformance",
    }
