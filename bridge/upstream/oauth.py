"""OAuth2 client credentials: one token for each process and credential, however many threads send with it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field, replace
from urllib.parse import quote_plus

import requests
from authlib.integrations.requests_client import OAuth2Session, OAuthError

from bridge.errors import AnswerLost, CredentialRefused, InvalidValue, NotBegun, UpstreamTrouble
from bridge.metrics.counted import GRANTED, NO_TOKEN, TOKEN_REFUSED, asked_for_token
from bridge.upstream.answer import Answer
from bridge.upstream.connections import BoundedAdapter
from bridge.upstream.transport import USER_AGENT, call_until, checked_host

ASSUMED_LIFE = 300.0
"""Seconds that a token lives if its answer does not say. Rokt's live about five minutes."""

LONGEST_LEEWAY = 60.0
"""Seconds before its end at which a token is renewed: a tenth of its life, at most this."""


@dataclass(frozen=True)
class _Token:
    header: str = field(repr=False)
    life: float
    renew_at: float
    ends_at: float


class OAuth2ClientCredentials:
    """A token from `token_url`, renewed before its end by one thread while the others go on with the old one.

    HTTP Basic is sent as most clients send it, and as Braze's own template sends it to Rokt: id and secret
    as they are. RFC 6749 section 2.3.1 wants both form-encoded first. Where that makes a difference and the
    plain form is refused, the other is tried once; the form that worked is used from then on.

    A token may take half of the time that its call has left. `clock`: monotonic, in seconds. `name`: as Upstream's.
    """

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: str,
        *,
        allow_http: bool = False,
        clock: Callable[[], float] = time.monotonic,
        name: str | None = None,
    ) -> None:
        self._host = checked_host(token_url, allow_http)
        if not _is_ascii(client_id) or not _is_ascii(client_secret):
            raise InvalidValue("a client id and secret of printable ASCII (RFC 6749, appendix A)")
        self._url = token_url
        self._name = name
        plain, encoded = (client_id, client_secret), (quote_plus(client_id), quote_plus(client_secret))
        # A colon ends the id in Basic (RFC 7617): such an id has no plain form.
        self._forms = [encoded] if ":" in client_id or plain == encoded else [plain, encoded]
        self._clock = clock
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._flight: Future[_Token] | None = None

    def __repr__(self) -> str:
        return f"<OAuth2ClientCredentials {self._host}>"

    def authorization(self, deadline: float) -> str:
        """The header's value. Raises NotBegun (`wait`: what the endpoint asked for) or CredentialRefused."""
        return self._current(deadline).header

    def refused(self, authorization: str) -> bool:
        """The API did not take it: it is thrown away, unless a newer one stands. True: a fresh one may do."""
        with self._lock:
            if self._token is not None and self._token.header == authorization:
                self._token = None
        return True

    def check(self, deadline: float) -> str:
        return f"token for {self._current(deadline).life:.0f} s"

    def _current(self, deadline: float) -> _Token:
        with self._lock:
            standing, is_mine = self._token, self._flight is None
            if standing is not None:
                good_until = standing.renew_at if is_mine else standing.ends_at
                if self._clock() < good_until:
                    return standing
            flight = self._flight = self._flight or Future()
        if is_mine:
            self._fly(flight, standing, deadline)
        try:
            return flight.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise NotBegun(f"{self._host}: no token in time") from None
        except UpstreamTrouble as error:
            raise copy(error) from error.__cause__

    def _fly(self, flight: Future[_Token], standing: _Token | None, deadline: float) -> None:
        """Fetches for all who wait. A renewal that fails leaves the standing token in use until its end."""
        token: _Token | None = None
        trouble: BaseException | None = None
        try:
            token = self._fetch(deadline)
        except BaseException as error:  # noqa: BLE001  whoever waits for the flight must hear of it
            trouble = error
        with self._lock:
            self._flight = None
            now = self._clock()
            if token is None and standing is not None and standing is self._token and now < standing.ends_at:
                token = replace(standing, renew_at=now + max(1.0, (standing.ends_at - now) / 2))
            if token is not None:
                self._token = token
        if token is not None:
            flight.set_result(token)
        else:
            flight.set_exception(trouble)

    def _fetch(self, deadline: float) -> _Token:
        now = time.monotonic()
        until = now + (deadline - now) / 2
        *first, last = self._forms
        for form in first:
            try:
                return self._ask(form, until)
            except CredentialRefused:
                continue
        return self._ask(last, until)

    def _ask(self, form: tuple[str, str], until: float) -> _Token:
        outcome = NO_TOKEN
        try:
            token = self._asked(form, until)
            outcome = GRANTED
        except CredentialRefused:
            outcome = TOKEN_REFUSED
            raise
        finally:
            if self._name is not None:
                asked_for_token(self._name, outcome)
        return token

    def _asked(self, form: tuple[str, str], until: float) -> _Token:
        asked_at = self._clock()
        try:
            with OAuth2Session(*form, "client_secret_basic", trust_env=False) as session:
                session.headers["User-Agent"] = USER_AGENT
                session.mount("http://", BoundedAdapter(1))
                session.mount("https://", BoundedAdapter(1))
                session.register_compliance_hook("access_token_response", self._judge)
                with call_until(until, self._host):
                    answer = session.fetch_token(
                        self._url, grant_type="client_credentials", allow_redirects=False
                    )
        except AnswerLost as error:
            raise NotBegun(str(error)) from error.__cause__
        except OAuthError as error:
            raise CredentialRefused(f"{self._host} refused the credential{_code(error.error)}") from None
        except (ValueError, TypeError, ArithmeticError):
            raise NotBegun(f"{self._host}: its token answer cannot be read") from None
        # The oldest page of Rokt's older API has it with a capital.
        access_token = answer.get("access_token") or answer.get("Access_token")
        if not isinstance(access_token, str) or not _is_ascii(access_token):
            raise NotBegun(f"{self._host}: its token answer has no token")
        self._forms = [form]
        life = float(answer.get("expires_in") or 0)
        if life <= 0:
            life = ASSUMED_LIFE
        ends_at = asked_at + life
        return _Token(f"Bearer {access_token}", life, ends_at - min(life / 10, LONGEST_LEEWAY), ends_at)

    def _judge(self, response: requests.Response) -> requests.Response:
        """What authlib would take for a token or for an error of the transport and is neither."""
        answer = Answer(
            response.status_code, response.headers, response.content.decode("utf-8", "replace"), 0
        )
        if answer.status in (400, 401, 403):
            body = answer.json()
            code = _code(body.get("error") if isinstance(body, dict) else None)
            raise CredentialRefused(f"{self._host} refused the credential: {answer.status}{code}")
        if not 200 <= answer.status < 300:
            trouble = NotBegun(f"{self._host}: {answer.status} instead of a token")
            trouble.wait = answer.retry_after
            raise trouble
        return response


def _is_ascii(text: str) -> bool:
    """Printable, and something: what can stand in a header."""
    return bool(text) and text.isascii() and text.isprintable()


def _code(error: object) -> str:
    """The endpoint's `error` code, when it is one: it might repeat the secret."""
    return f" {error}" if isinstance(error, str) and re.fullmatch("[a-z_]{1,40}", error) else ""
