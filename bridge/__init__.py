"""The Braze–Rokt bridge: Braze webhooks to Rokt Calendar, Rokt's subscribers back to Braze, nothing lost."""

__version__ = "1.0.0"
