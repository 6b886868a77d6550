"""The command line's commands, one file a noun; each is mounted by cli.py, and loads what it needs when it runs."""
