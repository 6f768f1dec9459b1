"""Sends customer events to the input topic."""
