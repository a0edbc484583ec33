"""Commands about records that are kept: found, compared, pruned, anchored, verified."""
