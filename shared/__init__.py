"""What both paths must agree on: schema, models, predictions, ledger, settings and Kafka."""
