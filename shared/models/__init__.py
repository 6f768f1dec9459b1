"""Model kinds, one file each, and the directory format that holds them."""
