"""`python -m batch model`: brings models in, certifies them, and says what they are."""
