"""The bridge's promise under kills: what was answered 202 arrives, in order by key, or is listed with its reason."""
