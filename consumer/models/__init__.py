"""The models that score: what takes over from them, and what scores beside them."""
