"""`python -m batch advise`: batch or real time, answered from recorded events."""
