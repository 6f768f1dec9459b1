"""Looking after dead letters: `python -m consumer dead-letters list|show|replay`."""
