"""What stands before an app: API Gateway, certificates, the firewall."""
