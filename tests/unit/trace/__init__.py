"""One traced request: joining, reading rules, foretelling."""
