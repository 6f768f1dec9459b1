"""Several workers under one supervisor."""
