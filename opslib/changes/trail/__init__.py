"""What CloudTrail tells: who did what, on one timeline, and what looks like somebody else."""
