"""All benchmarks: ``python -m benchmarks [--tiny]``. Each is a question with an answer of its own."""

import subprocess
import sys

QUESTIONS = ["bounded", "cluster", "graph", "kernels", "memory", "schedule", "throughput"]

for question in QUESTIONS:
    print(f"\n## {question}\n", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{question}", *sys.argv[1:]], check=True)
