"""The systems that the lab can hold, one package or module each. See base.py."""
