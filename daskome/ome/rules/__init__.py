"""The specification as tables and functions: what the attributes of one group must and should be, per version."""
