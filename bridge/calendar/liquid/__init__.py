"""Import from Braze: the Liquid body of a webhook becomes a template, in a child process with limits.

What reads Liquid is imported in the child alone: it costs a tenth of a second, and no message needs it.
"""

from bridge.calendar.liquid.child import import_liquid
from bridge.calendar.liquid.results import Compared, Imported, LiquidFault, Note

__all__ = ["Compared", "Imported", "LiquidFault", "Note", "import_liquid"]
