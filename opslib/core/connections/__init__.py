"""The ways in: AWS, SQL, HTTP, Lambda; every call recorded, every error translated."""
