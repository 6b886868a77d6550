"""Lines are JSON in production, and hold no words of an exception, a library or a caller."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from bridge import log
from bridge.database import Database
from bridge.log import others
from bridge.log.traces import without_words

ROOT = Path(__file__).resolve().parent.parent
PRIVATE = "private-7391"

Lines = list[str]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """What is written, in production's form."""
    written: Lines = []
    kept = structlog.get_config()
    monkeypatch.setattr("bridge.log._Lines.write", lambda _, line: written.append(line.decode()))
    log.set_up(is_development=False)
    monkeypatch.setattr(others, "log", structlog.get_logger())
    yield written
    structlog.configure(**kept)


def only(lines: Lines) -> dict[str, Any]:
    [line] = lines
    told: dict[str, Any] = json.loads(line)
    return told


def fail(error: Exception) -> None:
    try:
        raise LookupError(PRIVATE)
    except LookupError as below:
        raise error from below


class TestOwnLines:
    def test_one_is_one_json_object_with_its_name_level_and_time(self, lines: Lines) -> None:
        structlog.get_logger().info("thing.done", count=3, at_once=True)

        told = only(lines)

        assert (told["event"], told["level"], told["count"]) == ("thing.done", "info", 3)
        assert told["at"].endswith("Z")
        assert lines[0].endswith("}\n")
        assert "\n" not in lines[0][:-1]

    def test_of_an_object_only_its_kind_is_told(self, lines: Lines) -> None:
        structlog.get_logger().info("thing.done", error=ValueError(PRIVATE))

        assert only(lines)["error"] == "<ValueError>"

    @pytest.mark.parametrize("is_development", [False, True])
    def test_an_address_that_slipped_in_is_cut_out(self, lines: Lines, is_development: bool) -> None:
        log.set_up(is_development=is_development)

        structlog.get_logger().info("thing.done", by="ada@example.com", of=["Bob.O'Neil@example.com, x"])

        assert "example" not in lines[0]
        assert "[email]" in lines[0]

    def test_the_id_of_a_request_is_in_all_of_its_lines(self, lines: Lines) -> None:
        with structlog.contextvars.bound_contextvars(request_id="r-1"):
            structlog.get_logger().info("thing.done")
            structlog.get_logger().info("thing.done", request_id="another")

        assert [json.loads(line)["request_id"] for line in lines] == ["r-1", "another"]

    def test_that_nobody_reads_them_is_no_fault_of_what_is_told(
        self, lines: Lines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gone(_lines: object, _line: bytes) -> None:
            raise BrokenPipeError

        monkeypatch.setattr("bridge.log._Lines.write", gone)

        structlog.get_logger().info("thing.done")


class TestExceptions:
    def test_types_and_places_are_told_and_no_words(self, lines: Lines) -> None:
        try:
            fail(RuntimeError(f"{PRIVATE} is wrong"))
        except RuntimeError:
            structlog.get_logger().exception("thing.failed")

        told = only(lines)

        assert told["level"] == "error"
        first, second = told["exception"].split("\n\n")
        assert first.endswith("\nLookupError")
        assert second.endswith("\nRuntimeError")
        assert "in fail" in second
        assert PRIVATE not in lines[0]

    def test_a_databases_error_tells_its_code_and_no_row(
        self, lines: Lines, postgresql_database_url: str
    ) -> None:
        database = Database(postgresql_database_url)
        insert = sa.text("INSERT INTO workers VALUES (:id, now(), now())")
        with database.write() as connection:
            connection.execute(insert, {"id": PRIVATE})
        with pytest.raises(sa.exc.IntegrityError) as refused, database.write() as connection:
            connection.execute(insert, {"id": PRIVATE})
        database.close()

        structlog.get_logger().error("thing.failed", exc_info=refused.value)

        assert PRIVATE in str(refused.value), "PostgreSQL itself quotes the row"
        assert "UniqueViolation (23505)" in only(lines)["exception"]
        assert PRIVATE not in lines[0]

    def test_those_that_cause_each_other_come_to_an_end(self) -> None:
        one, other = ValueError(), KeyError()
        one.__cause__, other.__cause__ = other, one

        assert without_words((ValueError, one, None)).count("Traceback") == 2


class TestLibraries:
    @pytest.fixture(autouse=True)
    def listen(self, lines: Lines) -> Iterator[None]:
        its = logging.getLogger("library")
        its.handlers[:], its.propagate = [others._Handler()], False
        yield
        its.handlers[:], its.propagate = [], True

    def test_their_text_is_told_with_numbers_and_without_what_else_is_filled_in(self, lines: Lines) -> None:
        logging.getLogger("library").warning("worker %d (%s) was sent %s", 17, PRIVATE, [PRIVATE])

        told = only(lines)

        assert (told["event"], told["logger"]) == ("library.said", "library")
        assert told["said"] == "worker 17 (…) was sent …"
        assert PRIVATE not in lines[0]

    @pytest.mark.parametrize("args", [(), ("x",)])
    def test_a_text_that_was_put_together_is_not(self, lines: Lines, args: tuple[str, ...]) -> None:
        logging.getLogger("library").error(" ".join(["bad request", PRIVATE, "%s" * len(args)]), *args)

        assert only(lines)["said"] == ""

    def test_what_does_not_fit_its_text_is_told_without(
        self, lines: Lines, capfd: pytest.CaptureFixture[str]
    ) -> None:
        # By itself: pytest's own handlers cannot take it.
        others._Handler().handle(
            logging.LogRecord("library", logging.ERROR, __file__, 1, "%d of %d", (PRIVATE,), None)
        )

        assert only(lines)["said"] == "%d of %d"
        assert capfd.readouterr() == ("", "")

    def test_their_exceptions_have_no_words_either(self, lines: Lines) -> None:
        try:
            fail(RuntimeError(PRIVATE))
        except RuntimeError:
            logging.getLogger("library").exception("it failed: %s", PRIVATE)

        assert only(lines)["exception"].endswith("RuntimeError")
        assert PRIVATE not in lines[0]


PROGRAM = f"""
import gc, logging, sys, threading, warnings
from bridge import log
from bridge.log import others
log.set_up(is_development=False)
others.listen()

def fail():
    raise ValueError("{PRIVATE}")

class Odd:
    def __del__(self):
        fail()

one = threading.Thread(target=fail, name="a-thread")
one.start()
one.join()
Odd()
gc.collect()
warnings.warn("{PRIVATE} is old", UserWarning)
logging.getLogger("alembic").info("{PRIVATE}")
fail()
"""


def test_a_process_tells_all_of_its_faults_as_lines_without_words() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [one["event"] for one in told] == [
        "thread.failed",
        "clean_up.failed",
        "python.warned",
        "process.failed",
    ]
    assert (told[0]["thread"], told[3]["level"]) == ("a-thread", "critical")
    assert PRIVATE not in done.stderr + done.stdout
    assert done.returncode == 1


def test_the_tests_themselves_still_hear_of_threads_that_fail() -> None:
    assert threading.excepthook is not others._of_thread
    assert warnings.showwarning is not others._of_warning
