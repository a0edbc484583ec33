"""Lambda: functions, and what invoking them does."""
