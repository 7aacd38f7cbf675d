"""Stores as they are opened: exact in what they delete and in what their errors say, bounded in what they read."""
