"""The consumer's HTTP port: health and metrics for machines, a live page for people."""
