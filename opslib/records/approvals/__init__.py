"""Approvals: each for one use, one apply at a time, and where wanted another person's own act."""
