"""What the jobs of a script have in common, and words for a shell."""

import os
import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Submission:
    """What all jobs of a script have in common.

    Attributes
    ----------
    jobs : int
        The most there are per stage.
    threads, mib, hours : int
        Of each: threads, MiB of memory, and time.
    daskome : tuple of str
        The words that start daskome in a job.
    target : tuple of str
        The words that say what is written, and where.
    given : tuple of str
        What a store cannot say on its own, in words: a function of the caller's own, and where images lie elsewhere.
    options : tuple of str
        Further words for the command that submits, such as ``--partition=long``.
    """

    jobs: int
    threads: int
    mib: int
    hours: int
    daskome: tuple[str, ...]
    target: tuple[str, ...]
    given: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def finish(self) -> list[str]:
        """The words of the job that publishes it."""
        return [*self.daskome, "finish", *self.target]

    def run(self, stage: int, part: str) -> list[str]:
        """Return the words of a job that writes a part of a stage.

        A scheduler that starts a part again has given up the job that ran it before, which may seem alive for a while.
        """
        words = [*self.daskome, "run", *self.target, *self.given, "--stage", str(stage), "--part", part]
        return [*words, "--threads", str(self.threads), "--take-over"]


def quoted(word: str) -> str:
    r"""Return a word for bash, in one line: a line that ends the document in which a job stands must not come from it.

    >>> print(quoted("a b"), quoted("a\nJOB\nrm -rf"))
    'a b' $'a\012JOB\012rm -rf'
    """
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(_escaped(char) for char in word) + "'"


def _escaped(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    return char if char.isprintable() else "".join(f"\\{byte:03o}" for byte in os.fsencode(char))
