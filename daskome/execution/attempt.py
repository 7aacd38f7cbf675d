"""What happens after a unit task has failed: the one rule of retries, for runs now and for `compute=False`."""

import logging
import random
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from typing import Any

from daskome.execution.unit_task import UnitTask, run_with_payload
from daskome.model.problem import WriteError
from daskome.model.urls import cause_of, shown_error
from daskome.stores import journal as journals
from daskome.stores.journal import Journal
from daskome.stores.ownership.claims import OwnershipLost

log = logging.getLogger("daskome")
BACK_OFF = 0.25
"""Seconds before the first retry, give or take half of it; each further retry waits four times longer."""
MAX_LOSSES = 20
"""How many times a unit may be lost with its worker before it counts as failed."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A unit task, and what has become of it so far."""

    task: UnitTask
    failures: int = 0
    losses: int = 0

    def after(self, error: BaseException, name: str, retries: int, hopeless: bool = False) -> "Attempt | None":
        """Return the next attempt, after this one ended in an error; None, noted in the journal, if it was the last.

        Parameters
        ----------
        error : BaseException
        name : str
            The unit, as users know it.
        retries : int
            How many failures are followed by another attempt. A unit that is lost with its worker has not failed.
        hopeless : bool
            Whether other units failed so often that this one is not tried again.
        """
        following = None if hopeless else self._following(error, retries)
        if following is None:
            log.error("%s failed for good: %s", name, shown_error(error))
            journals.fail(self.task.journal, self.task.unit, shown_error(error))
        else:
            log.warning("%s failed, trying again: %s", name, shown_error(error))
        return following

    def _following(self, error: BaseException, retries: int) -> "Attempt | None":
        if is_lost(error) and self.losses < MAX_LOSSES:
            return replace(self, losses=self.losses + 1)
        if self.failures >= retries:
            return None
        wait = BACK_OFF * 4**self.failures * random.uniform(0.5, 1.5)
        return replace(self, task=replace(self.task, wait=wait), failures=self.failures + 1)


def is_lost(error: BaseException) -> bool:
    """Whether a task, or what it needs, was lost with a worker, which says nothing about the task."""
    return isinstance(error, CancelledError)


def run_with_retries(
    task: UnitTask, keys: list[Any], name: str, retries: int, values: list[Any], after: None, journal: Journal
) -> None:
    """Run a unit task as a task of a Dask graph, under the claim in a journal, and again if it fails.

    Raises
    ------
    WriteError
        That names the unit, after its last attempt, or if another process is the owner now.
    """
    attempt = Attempt(replace(task, journal=journal))
    while True:
        try:
            run_with_payload(attempt.task, keys, values)
            break
        except OwnershipLost as error:
            raise WriteError(str(error)) from error
        except Exception as error:
            following = attempt.after(error, name, retries)
            if following is None:
                raise WriteError(
                    f"{name} could not be written; the image is unfinished: {shown_error(error)}"
                ) from cause_of(error)
            attempt = following
