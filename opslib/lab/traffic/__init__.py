"""What is asked of a system in the lab, and what that leaves: answers, log lines, metrics."""
