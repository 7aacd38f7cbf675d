"""Questions with numbers for answers: `python -m benchmarks`."""
