"""Databases by ADBC: what rows are read from, and what predictions are delivered to."""
