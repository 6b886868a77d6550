"""Sends numbered events as Braze would: at a fixed rate, the same key again on no answer, 5xx, 408 and 429."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType

KEY = "test-key"  # of the bridge's callers
HOT = 0.03  # share of the events that are of one key
PAUSE = (0.1, 1.0)  # seconds before a repeat
ANSWER_WITHIN = 10.0
AGAIN = {0, 408, 429, 500, 502, 503, 504}
SENDERS = 96


@dataclass
class Sent:
    """One event: `ids` of every answer that took it, `first_at` and `taken_at` on the monotonic clock."""

    key: int
    number: int
    action: str
    title: str
    first_at: float = 0.0
    taken_at: float | None = None
    ids: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    refusal: str = ""

    @property
    def request_id(self) -> str:
        return f"k{self.key}-{self.number}"


class Driver:
    """A quarter of the keys deletes and creates again, a quarter does not wait for the answer before the next."""

    def __init__(self, port: int, seed: str, rate: float, keys: int) -> None:
        self.sent: list[Sent] = []
        self.taken: list[float] = []  # when each was taken first
        self.rate = rate
        self._port, self._keys = port, keys
        self._random = random.Random(f"driver-{seed}")
        self._random_of_replay = random.Random(f"replay-{seed}")
        self.replayed: set[str] = set()
        self._numbers: dict[int, int] = defaultdict(int)
        self._queues: dict[int, deque[Sent]] = defaultdict(deque)
        self._busy: set[int] = set()
        self._created: set[int] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(SENDERS, "braze")
        self.stopping = threading.Event()
        self.abandon = threading.Event()

    def run(self) -> None:
        """Sends until `stopping`."""
        due = time.monotonic()
        while not self.stopping.is_set():
            self._next()
            due += 1 / self.rate
            time.sleep(max(0.0, due - time.monotonic()))

    def replay(self) -> None:
        """An operator who sends something again every second, wanted or not."""
        while not self.stopping.wait(1.0):
            if not self.sent:
                continue
            one = self._random_of_replay.choice(self.sent)
            if one.ids and self._random_of_replay.random() < 0.7:
                near = [other for other in self.sent if other.key == one.key and other.ids]
                one = near[-1]
            if one.ids:
                self.replayed.add(one.request_id)
                self._ask("POST", f"/v1/messages/{one.ids[0]}/replay", {})

    def finish(self, seconds: float) -> int:
        """Waits until everything was taken. Returns how many were not."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(one.taken_at is None and not one.refusal for one in self.sent):
            time.sleep(0.1)
        self.abandon.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        return sum(one.taken_at is None and not one.refusal for one in self.sent)

    def listed(self, state: str) -> dict[str, str | None]:
        """What an operator finds under this state, with the reason of each."""
        found: dict[str, str | None] = {}
        query = f"/v1/messages?state={state}&limit=100"
        following = ""
        while following is not None:
            status, answer = self._ask("GET", f"{query}{following and f'&cursor={following}'}")
            if status != 200:
                raise RuntimeError(f"the list of the {state} was answered {status}: {answer}")
            found |= {one["id"]: one["reason"] for one in answer["messages"]}
            following = answer["next"]
        return found

    def _next(self) -> None:
        key = 0 if self._random.random() < HOT else self._random.randrange(self._keys)
        number = self._numbers[key]
        self._numbers[key] += 1
        place = number % 12
        action = "create" if number == 0 else "update"
        title = f"{number}"
        if key % 4 == 2:  # delete, then create again
            action = "create" if place == 0 else "delete" if place == 11 else "update"
        elif key % 4 == 3:
            action = "upsert"
        if action == "update" and self._random.random() < 0.02:
            title = f"bad {number}"
        one = Sent(key, number, action, title)
        self.sent.append(one)
        with self._lock:
            if key % 4 == 1 and key in self._created:
                self._pool.submit(self._send, one)
                return
            self._queues[key].append(one)
            if key in self._busy:
                return
            self._busy.add(key)
        self._pool.submit(self._send_key, key)

    def _send_key(self, key: int) -> None:
        while True:
            with self._lock:
                if not self._queues[key] or self.abandon.is_set():
                    self._busy.discard(key)
                    return
                one = self._queues[key].popleft()
            self._send(one)
            with self._lock:
                self._created.add(key)

    def _send(self, one: Sent) -> None:
        one.first_at = time.monotonic()
        pause = random.Random(f"{one.request_id}")
        extra = pause.random() < 0.03  # now and then a repeat of what was answered well
        while not self.abandon.is_set():
            status, answer = self._post(one)
            one.statuses.append(status)
            if status in (200, 202):
                one.ids += answer.get("ids") or [answer["id"]]
                if one.taken_at is None:
                    one.taken_at = time.monotonic()
                    self.taken.append(one.taken_at)
                if not extra:
                    return
                extra = False
            elif status not in AGAIN:
                one.refusal = f"{status} {answer}"
                return
            time.sleep(pause.uniform(*PAUSE))

    def _post(self, one: Sent) -> tuple[int, dict]:
        body: dict[str, object] = {
            "action": one.action,
            "user_id": "u",
            "account_code": "acct",
            "idempotency_key": one.request_id,
            "event": {"event_id": f"k{one.key}"},
        }
        if one.action in ("create", "upsert"):
            body["subscription_ids"] = [f"s{one.key}"]
            if one.key % 8 == 3:  # its audience grows
                body["subscription_ids"] = [f"s{one.key}-{n}" for n in range(1 + one.number % 12 // 4)]
        if one.action != "delete":
            body["event"] = {
                "event_id": f"k{one.key}",
                "title": one.title,
                "start": "2030-01-01T10:00",
                "timezone": "Eastern Standard Time",
            }
        return self._ask("POST", "/v1/calendar/events", body, {"X-Request-Id": one.request_id})

    def _ask(
        self, method: str, path: str, body: object = None, more: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, dict]:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **more}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_WITHIN)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()
