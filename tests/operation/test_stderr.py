"""Whoever should read the log and does not holds up nobody."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys

TELLS_MUCH = """
import os, sys
from bridge import log
import structlog
log.set_up(is_development=False)
for number in range(20_000):
    structlog.get_logger().info("thing.done", number=number, words="x" * 200)
print("told", flush=True)
sys.stdin.readline()
structlog.get_logger().info("thing.ended")
"""
MOST = 30  # seconds; what is stuck takes for ever


def told_to(stderr: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", TELLS_MUCH],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def test_a_pipe_that_nobody_reads_stops_nobody_and_what_is_lost_is_counted() -> None:
    reader, writer = os.pipe()
    process = told_to(writer)
    os.close(writer)
    assert process.stdout is not None
    assert process.stdout.readline() == "told\n"
    os.set_blocking(reader, False)
    read = os.read(reader, 2**20)
    process.communicate("\n", MOST)
    rest = b"".join(iter(lambda: os.read(reader, 2**20), b""))
    os.close(reader)

    lines = (read + rest).splitlines()
    assert process.returncode == 0
    assert b'"number": 0' in lines[0]
    assert b'"event": "thing.ended"' in lines[-2]
    assert b'"event": "log.lost"' in lines[-1]


def test_a_socket_that_nobody_reads_stops_nobody_either() -> None:
    """As systemd gives one."""
    reader, writer = socket.socketpair()
    process = told_to(writer.fileno())
    writer.close()
    assert process.stdout is not None
    assert process.stdout.readline() == "told\n"
    reader.setblocking(False)
    read = reader.recv(2**24)
    process.communicate("\n", MOST)
    rest = b"".join(iter(lambda: reader.recv(2**20), b""))
    reader.close()

    lines = (read + rest).splitlines()
    assert process.returncode == 0
    assert b'"number": 0' in lines[0]
    assert all(json.loads(line) for line in lines)
    assert b'"event": "thing.ended"' in lines[-2]
    assert b'"event": "log.lost"' in lines[-1]


def test_a_full_disk_and_a_closed_pipe_stop_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    for stderr in (os.open("/dev/full", os.O_WRONLY), writer):
        process = told_to(stderr)
        os.close(stderr)
        out, _ = process.communicate("\n", MOST)

        assert (process.returncode, out) == (0, "told\n")


def test_a_pipe_of_others_is_left_as_it_is() -> None:
    """A write that does not wait fails; whoever shares the pipe is not made for that."""
    reader, writer = os.pipe()
    process = told_to(writer)
    process.communicate("\n", MOST)

    assert not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK
    os.close(reader)
    os.close(writer)
