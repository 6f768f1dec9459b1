"""`python -m batch prove`: whether stream and batch gave each event the same answer, and nothing was lost."""
