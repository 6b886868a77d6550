"""The Braze–Rokt bridge: Braze webhooks to Rokt Calendar, Rokt's subscribers back to Braze, nothing lost."""

__version__ = "0.1.0"
