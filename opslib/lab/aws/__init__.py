"""AWS as the lab answers it: the ground that all stands on, calls, denials, trail, credentials, moto."""
