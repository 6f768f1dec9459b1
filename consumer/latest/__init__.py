"""A few of a worker's latest events, for people to look at: picked on the loop, formed beside it."""
