"""Kafka, in whole record batches: the only package that imports the client library."""
