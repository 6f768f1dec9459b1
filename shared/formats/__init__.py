"""File formats, one file each; shared/files.py has the table of them."""
