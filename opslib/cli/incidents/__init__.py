"""The commands of an incident, and what they say."""
