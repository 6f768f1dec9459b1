"""`make bench`: Tandem beside others, as ratios from one run. Loads stay on this machine's loopback."""
