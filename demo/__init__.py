"""The demo: both paths on real commands, and one table of what came out."""
