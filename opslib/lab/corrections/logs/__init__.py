"""CloudWatch Logs: events, filter patterns, Insights."""
