"""Rokt's V2 Partner Experiences API: one call, with the headers that it asks for."""

from __future__ import annotations

from bridge.errors import CredentialRefused, UpstreamTrouble
from bridge.metrics.counted import OFFERS_UPSTREAM
from bridge.offers.codes import PARTNER, told
from bridge.settings import OffersSettings
from bridge.upstream import Answer, Upstream

PATH = "/v2/partner/experiences"
MOST_BYTES = 1_000_000  # of an answer; Braze reads no more than 1 MB
CHECK_SECONDS = 10.0


class Experiences:
    def __init__(self, settings: OffersSettings, *, allow_http: bool, connections: int) -> None:
        self._tag_id = settings.tag_id
        self._credential = {"rokt-pub-id": settings.pub_id, "rokt-secret": settings.secret.reveal()}
        self._upstream = Upstream(
            settings.url,
            None,
            allow_http=allow_http,
            connections=connections,
            answer_limit=MOST_BYTES + 1,
            name=OFFERS_UPSTREAM,
        )

    def __repr__(self) -> str:
        return f"<Experiences {self._upstream!r}>"

    def select(self, body: object, tag_id: str, within: float, request_id: str = "") -> Answer:
        """Any status is an Answer; one longer than MOST_BYTES is cut. Raises UpstreamTrouble."""
        headers = self._credential | {"rokt-tag-id": tag_id}
        if request_id:
            headers["X-Request-Id"] = request_id
        return self._upstream.send("POST", PATH, body, headers=headers, within=within)

    def check(self) -> str:
        """What a call without a page proves, which Rokt refuses and which shows nobody an offer.

        Raises UpstreamTrouble.
        """
        answer = self.select({"attributes": {}}, self._tag_id, CHECK_SECONDS)
        if answer.status in (401, 403):
            raise CredentialRefused(f"Rokt refused the credential: {answer.status}")
        if any(fault.code == PARTNER for fault in told(answer.json())):
            raise CredentialRefused("Rokt does not know ROKT_TAG_ID")
        if answer.status not in (400, 422):
            raise UpstreamTrouble(f"Rokt answered {answer.status} to a call that it should refuse with 422")
        return "answers; neither the credential nor the tag was refused"

    def close(self) -> None:
        self._upstream.close()
