"""AWS as the lab answers it.

The ground that all stands on, calls, denials, trail, credentials, moto.
"""
