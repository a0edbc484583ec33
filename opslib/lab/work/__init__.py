"""The jobs of a target's file: their rows, and the workers that take them from the queues."""
