"""The models that Tandem ships, and what makes them: `make train`."""
