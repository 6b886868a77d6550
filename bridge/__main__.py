"""python -m bridge COMMAND."""

from bridge.cli import main

raise SystemExit(main())
