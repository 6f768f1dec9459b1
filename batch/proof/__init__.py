"""`python -m batch prove`: event by event, whether stream and batch gave the same answer, and nothing was lost."""
