"""python -m bridge COMMAND."""

import os

from bridge import log
from bridge.cli import main
from bridge.log import others

log.set_up(is_development=os.environ.get("BRIDGE_ENV") == "development")
others.listen()  # a fault of the bridge shows as a line: Python's own traceback quotes what it is about
raise SystemExit(main())
