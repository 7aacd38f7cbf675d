"""All benchmarks, or some: ``python -m benchmarks [--tiny] [QUESTION …]``. Each has a question of its own."""

import argparse
import subprocess
import sys

QUESTIONS = [
    "awkward", "bounded", "cloud", "cluster", "codecs", "floor", "graph", "kernels", "memory", "peers", "schedule",
    "shards", "start",
]  # fmt: skip


def main() -> None:
    """Ask one question after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    asked = parser.parse_args()
    unknown = sorted(set(asked.questions) - set(QUESTIONS))
    if unknown:
        parser.error(f"{', '.join(unknown)} is none of {', '.join(QUESTIONS)}")
    for question in asked.questions or QUESTIONS:
        print(f"\n## {question}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{question}", *["--tiny"] * asked.tiny], check=True)


if __name__ == "__main__":
    main()
