"""`python -m batch replay`: what another model would have decided about recorded events."""
