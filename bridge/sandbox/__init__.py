"""Stand-ins for Rokt and Braze, strict, with faults to switch on and a record of what came in."""

from bridge.sandbox.sandbox import Sandbox, create_sandbox
from bridge.sandbox.server import SandboxServer, serve

__all__ = ["Sandbox", "SandboxServer", "create_sandbox", "serve"]
