"""Which rows of the inputs are scored, under which names they are read, and what goes along with them."""
