"""One HTTP call, over by its deadline whatever the other side does, its trouble translated."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3.connectionpool import HTTPConnectionPool

from bridge import __version__
from bridge.errors import AnswerLost, InvalidValue, NotBegun
from bridge.upstream.answer import ANSWER_LIMIT, Answer
from bridge.upstream.connections import here, left_until

USER_AGENT = f"braze-rokt-bridge/{__version__}"

TRANSPORT_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)


def checked_host(url: str, allow_http: bool) -> str:
    """The host of an upstream's address, for words and logs. Raises InvalidValue, which does not quote it."""
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise InvalidValue("an address such as https://api.example.com") from None
    if parts.scheme not in (("https", "http") if allow_http else ("https",)) or not is_whole:
        raise InvalidValue("an address such as https://api.example.com")
    if parts.username is not None or parts.query or parts.fragment:
        raise InvalidValue("an address without user, password, query and fragment")
    return parts.netloc


@contextmanager
def call_until(deadline: float, host: str, turn: Callable[[], None] | None = None) -> Iterator[None]:
    """Runs one call that ends by `deadline` (monotonic); its trouble becomes NotBegun or AnswerLost.

    `turn` returns when the first byte may leave.
    """
    here.deadline, here.is_written, here.turn = deadline, False, turn
    try:
        left_until(deadline)
        yield
    except TRANSPORT_ERRORS as error:
        trouble = AnswerLost if here.is_written else NotBegun
        raise trouble(f"{host}: {_in_words(error)}") from _first_cause(error)


def exchange(
    pool: HTTPConnectionPool,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes | None,
    limit: int = ANSWER_LIMIT,
) -> Answer:
    """Sends one request and reads its answer. The target leaves as it is, nothing is quoted again.

    Called on the pool that requests itself sends through, and not on a session: no redirects, no cookies, no
    environment, and half of a session's time.
    """
    here.begun_at = time.monotonic()
    if body is not None:
        headers = {**headers, "Content-Length": str(len(body))}
    response = pool.urlopen(
        method,
        target,
        body,
        headers,
        retries=False,
        redirect=False,
        timeout=left_until(here.deadline),
        preload_content=False,
    )
    try:
        content = response.read(limit, decode_content=True)
    finally:
        response.close()
    return Answer(
        response.status,
        response.headers,
        content.decode("utf-8", "replace"),
        round((time.monotonic() - here.begun_at) * 1000),
    )


def seconds_of_call(began: float) -> float:
    """What this thread's last call took that began then; without its wait for a turn."""
    return time.monotonic() - max(began, here.begun_at)


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "its name is not known"),
    (ssl.SSLCertVerificationError, "its TLS certificate is not valid"),
    (ssl.SSLError, "TLS failed"),
    (TimeoutError, "no whole answer in time"),
    (ConnectionRefusedError, "connection refused"),
    (http.client.RemoteDisconnected, "closed without an answer"),
    (ConnectionError, "connection broken"),
    (http.client.IncompleteRead, "the answer was cut short"),
    (urllib3.exceptions.IncompleteRead, "the answer was cut short"),
    (http.client.HTTPException, "the answer is not HTTP"),
    (OSError, "network trouble"),
)


def _in_words(error: BaseException) -> str:
    cause = _first_cause(error)
    return next((words for kind, words in _WORDS if isinstance(cause, kind)), "the answer is not HTTP")


def _first_cause(error: BaseException) -> BaseException:
    """The exception at the bottom: the ones above it quote the address, and so a user's id."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return error
