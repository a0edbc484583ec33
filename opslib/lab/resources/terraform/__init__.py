"""Terraform's files of what stands in a target."""
