"""`python -m consumer check`: what a consumer would meet, looked at before it runs."""
