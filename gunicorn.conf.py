"""gunicorn's settings for the web process: greenlets, because a webhook mostly waits for a commit."""

from gevent import monkey

monkey.patch_all()  # before anything else makes a lock

# ruff: noqa: E402
import gc
import os
import shutil
import sys

from bridge.metrics import place

COUNTERS = place.make()  # before anything imports prometheus_client

from bridge import log
from bridge.app import prepare_start
from bridge.errors import SettingsInvalid
from bridge.log import others
from bridge.metrics.counted import begin_in_this_process
from bridge.settings import Settings

try:
    settings = Settings.from_env(os.environ, is_web=True)
except SettingsInvalid as faults:
    sys.exit(f"The environment is not right:\n{faults}")

log.set_up(is_development=settings.is_development)
others.listen()  # from here on nobody writes in words of its own

bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"
worker_class = "bridge.web.server.Worker"
# Kept-alive connections, most of them idle: those of a router or of Braze.
worker_connections = 1000
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
preload_app = True
# Without it the kernel may hand every connection of two workers to one of them.
reuse_port = True
# Heroku's router closes idle connections at 90 s; ours must outlive its.
keepalive = 95
# SIGKILL comes 30 s after SIGTERM there.
graceful_timeout = 25
timeout = 60
control_socket_disable = True
logger_class = "bridge.web.server.Log"
accesslog = None  # request.answered says it, without the path that was called
loglevel = "warning"
# Where each worker says every second that it lives: a disk that is slow for once must not stop it.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
limit_request_line = 8190
limit_request_field_size = 16380
limit_request_fields = 100


def pre_fork(server, worker):
    """What stands before the fork is never garbage; what a request leaves is looked through less often."""
    gc.freeze()
    gc.set_threshold(10_000)


def post_fork(server, worker):
    """Nothing that is counted later may fail for want of a file or of room for it."""
    begin_in_this_process()


def on_starting(server):
    """Refuse to serve on an older schema; publish what changed in templates/."""
    try:
        prepare_start()
    except SettingsInvalid as faults:
        sys.exit(f"The bridge cannot start:\n{faults}")


def worker_exit(server, worker):
    """Write what was asked for before the process goes."""
    parts = worker.app.callable.extensions.get("bridge") if worker.app.callable else None
    if parts is not None:
        parts.inbox.close()
        parts.addressees.close()
        parts.previews.close()
        parts.database.close()


def on_exit(server):
    """What was counted ends with the last process."""
    shutil.rmtree(COUNTERS, ignore_errors=True)
