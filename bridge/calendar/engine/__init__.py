"""The template engine: a strict, bounded Jinja whose blocks are the fields of an event."""

from bridge.calendar.engine.faults import TemplateFault
from bridge.calendar.engine.template import BLOCKS, Rendered, Template, check_piece, compile_template

__all__ = ["BLOCKS", "Rendered", "Template", "TemplateFault", "check_piece", "compile_template"]
