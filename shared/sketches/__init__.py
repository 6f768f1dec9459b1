"""Small summaries of what a model was given and what it said, which can be merged and compared."""
