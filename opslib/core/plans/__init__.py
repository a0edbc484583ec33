"""Change as data: steps and plans; applied, verified, concluded."""
