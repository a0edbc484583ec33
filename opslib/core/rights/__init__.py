"""What IAM has to allow for an AWS call."""
