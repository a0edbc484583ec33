"""What AWS keeps by account and not by resource: mail, costs."""
