"""Where chaos holds on to the bridge: around its commits and its calls. The rest is the real thing."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bridge.database import Database
from bridge.outbox import claim, enqueue, settle
from sqlalchemy.engine import Connection

from chaos.points import AFTER_CLAIM, BEFORE_ACCEPTANCE, BEFORE_ANSWER, BEFORE_SETTLE, DURING_CALL, Fuse


class _Here(threading.local):
    """What this thread's open transaction does."""

    accepts = False
    claimed: tuple[int, ...] = ()
    settled: tuple[int, ...] = ()


here = _Here()


def install(fuse: Fuse, commit_seconds: float) -> None:
    """Hold on. `commit_seconds` are added to every commit."""
    _note(enqueue, "store", lambda _given, _made: {"accepts": True})
    _note(settle, "settle", lambda given, _made: {"settled": tuple(r.call.message.seq for r in given[1])})
    _note(claim, "hold", lambda _given, made: {"claimed": (*here.claimed, *_seqs(made))})
    write = Database.write

    @contextmanager
    def watched(self: Database) -> Iterator[Connection]:
        here.accepts, here.claimed, here.settled = False, (), ()
        with write(self) as connection:
            yield connection
            if here.accepts:
                fuse.reach(BEFORE_ACCEPTANCE)
            if here.settled:
                fuse.reach(BEFORE_SETTLE)
            time.sleep(commit_seconds)
        if here.accepts:
            fuse.reach(BEFORE_ANSWER)
        if here.settled:
            fuse.tell("settled", seqs=here.settled)
        if here.claimed:
            fuse.tell("claimed", seqs=here.claimed)
            fuse.reach(AFTER_CLAIM)

    Database.write = watched  # type: ignore[method-assign]
    _watch_calls(fuse)


def _seqs(held: Sequence[Sequence[claim.Call]]) -> list[int]:
    return [call.message.seq for batch in held for call in batch]


def _note(module: Any, name: str, told: Callable[[tuple[Any, ...], Any], dict[str, Any]]) -> None:
    do = getattr(module, name)

    def noted(*given: Any, **named: Any) -> Any:
        made = do(*given, **named)
        vars(here).update(told(given, made))
        return made

    setattr(module, name, noted)


def _watch_calls(fuse: Fuse) -> None:
    """A call is under way once its request is written and before its answer is read; not one for a token."""
    put, answered = http.client.HTTPConnection.putrequest, http.client.HTTPConnection.getresponse

    def putrequest(self: Any, method: str, url: str, *given: Any, **named: Any) -> None:
        self.chaos_url = url
        put(self, method, url, *given, **named)

    def getresponse(self: Any) -> http.client.HTTPResponse:
        if "/oauth2/" not in self.chaos_url:
            fuse.reach(DURING_CALL)
        return answered(self)

    http.client.HTTPConnection.putrequest = putrequest  # type: ignore[method-assign,assignment]
    http.client.HTTPConnection.getresponse = getresponse  # type: ignore[method-assign,assignment]
