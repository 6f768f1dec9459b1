"""The long-running scorer: events in, predictions and dead letters out."""
