"""Causes that findings of several chapters name: one word each, the same everywhere."""

NEAR_LIMIT = "connections-near-limit"
CPU_HIGH = "database-cpu-high"
BACKLOG = "dead-letter-backlog"
THROTTLED = "function-throttled"
DENIED = "access-denied"
GONE = "described-and-gone"
LOGIN_REFUSED = "database-login-refused"
