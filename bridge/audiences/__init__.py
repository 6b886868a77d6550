"""Rokt's custom audiences: who is put on a list or taken off it, and how that falls into calls. Pure."""
