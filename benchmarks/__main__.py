"""All benchmarks: ``python -m benchmarks [--tiny]``. Each is a question with an answer of its own."""

import subprocess
import sys

QUESTIONS = ["bounded", "codecs", "floor", "graph", "kernels", "memory", "peers", "schedule"]

for question in QUESTIONS:
    print(f"\n## {question}\n", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{question}", *sys.argv[1:]], check=True)
