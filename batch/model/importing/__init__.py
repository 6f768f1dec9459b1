"""Makes model directories of trained models: `python -m batch model import`, and for scikit-learn a function.

Nothing here unpickles anything: a file is recognised by its first bytes, and a pickle is refused by them.
"""
