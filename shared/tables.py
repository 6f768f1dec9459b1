"""The columnar validator: an Arrow record batch to a frame.

A column's value stands for the JSON value that the producer would send for it: null is a missing
field, float32 and decimals are their number, a timestamp is its RFC 3339 text. In a text table (a CSV
file) a cell is read by its declared type, and an empty cell is a missing field.
"""
