"""Places: so many at a time, by threads and by greenlets."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bridge.places import Places

# A hundred leave at once; meanwhile somebody is always ready to run.
_CROWD = """
from gevent import monkey; monkey.patch_all()
import gevent
from gevent.event import Event
from bridge.places import Places

places, gate, turns, left = Places(100), Event(), [0], []

def busy():
    while len(left) < 100:
        turns[0] += 1
        gevent.sleep(0)

def one():
    assert places.take()
    gate.wait()
    places.leave()
    left.append(turns[0])

crowd = [gevent.spawn(one) for _ in range(100)]
gevent.spawn(busy)
gevent.sleep(0)
gate.set()
gevent.joinall(crowd)
print(max(left) - min(left))
"""


def test_no_more_are_taken_than_there_are() -> None:
    places = Places(2)

    assert [places.take() for _ in range(3)] == [True, True, False]

    places.leave()
    assert places.take()


def test_a_place_that_nobody_has_cannot_be_left() -> None:
    with pytest.raises(ValueError, match="nobody has this place"):
        Places(1).leave()


def test_who_leaves_together_waits_for_no_turn_of_the_loop_each() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CROWD], capture_output=True, text=True, check=True, timeout=60
    )

    assert int(done.stdout) < 10, done.stdout
