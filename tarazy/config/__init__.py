"""Settings and law: what the operator states and what the acts state, both as data."""
