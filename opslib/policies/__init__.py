"""IAM policies: the least that a procedure takes, from what its records say that it called."""
