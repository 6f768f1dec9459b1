"""Everything over stored data: score, export, compare."""
