"""What is made of an incident for people: the post-mortem, and a zip that can be verified."""
