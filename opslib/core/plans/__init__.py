"""Change as data: actions, steps, plans; applied, verified, concluded."""
