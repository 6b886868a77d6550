"""Conversions and events for Rokt: what the bridge knows of them, and the forms in which they leave. Pure."""
