"""A run on Kubernetes: an indexed Job per stage, each begun when the one before is complete, and one that finishes.

https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from daskome.execution.batch.submission import Submission, quoted
from daskome.stores.journal import SavedRun

KUBERNETES = "kubernetes"
POD_RETRIES = 3
"""How many times a part runs again whose pod has failed or was evicted."""


@dataclass(frozen=True, slots=True)
class Pod:
    """What runs a part: the image of a container, a secret for its environment, a volume claim and its path."""

    container: str
    secret: str | None = None
    claim: tuple[str, str] | None = None

    def volume(self) -> dict[str, Any]:
        """Return the volume that it has; empty if none."""
        return {} if self.claim is None else {"name": "data", "persistentVolumeClaim": {"claimName": self.claim[0]}}


def pod_of(scheduler: str, container: str | None, secret: str | None, claim: str | None) -> Pod | None:
    """Return the pod that a caller describes; None for other schedulers.

    Raises
    ------
    ValueError
        If Kubernetes gets no container, others get one, or a claim has no path.
    """
    given = [name for name, value in (("container", container), ("secret", secret), ("claim", claim)) if value]
    if scheduler != KUBERNETES:
        if given:
            raise ValueError(f"{given[0]}= is for Kubernetes; leave it out for {scheduler}")
        return None
    if not container:
        raise ValueError("Kubernetes runs containers; give an image that has daskome, as container= or --container")
    name, _, path = (claim or "").partition(":")
    if claim and not (name and path.startswith("/")):
        raise ValueError(f"claim {claim!r} must be a volume claim and where it is mounted, as in data:/data")
    return Pod(container, secret or None, (name, path) if claim else None)


def kubernetes_script(saved: SavedRun, missing: Sequence[Sequence[int]], submission: Submission, pod: Pod) -> str:
    """Return a shell script that runs what is missing of each stage, in turn, and then finishes.

    Parts that are finished end at once, so that an array needs no gaps.
    """
    plan, run = saved.plan, sha256(saved.journal.id.encode()).hexdigest()[:8]
    jobs = []
    for stage, indices in enumerate(missing):
        if indices:
            n = min(submission.jobs, plan.count(stage))
            jobs += _applied(f"daskome-{run}-stage{stage}", submission, pod, submission.run(stage, f"auto/{n}"), n)
    jobs += _applied(f"daskome-{run}-finish", submission, pod, submission.finish, 1)
    head = [
        "#!/usr/bin/env bash",
        f"# {sum(map(len, missing))} of {plan.n_units} units, from `daskome script`. Run it where kubectl is. It waits",
        "# for each Job; if one fails, fix the cause, delete it, then make and run a new script.",
        "set -euo pipefail",
    ]
    return "\n".join([*head, *jobs, ""])


def _applied(name: str, submission: Submission, pod: Pod, command: Sequence[str], n: int) -> list[str]:
    """Return the lines that submit a Job, and wait until it is complete or has failed."""
    options = "".join(f" {quoted(option)}" for option in submission.options)
    manifest = json.dumps(job_manifest(name, submission, pod, command, n), indent=2)
    ended = f"kubectl wait{options} --timeout={submission.hours}h job/{name} --for=condition"
    return [
        f"\nkubectl apply{options} -f - <<'JOB'\n{manifest}\nJOB",
        f"{ended}=complete & complete=$!",
        f"{{ {ended}=failed && kill $complete; }} >/dev/null 2>&1 & failed=$!",
        'wait $complete || { echo "a Job has failed, or its time is over" >&2; kill $failed 2>/dev/null; exit 1; }',
        "kill $failed 2>/dev/null || true",
    ]


def job_manifest(name: str, submission: Submission, pod: Pod, command: Sequence[str], n: int) -> dict[str, Any]:
    """Return an indexed Job: pod i of n runs a command, to which JOB_COMPLETION_INDEX says which part it is."""
    asked = {"cpu": str(submission.threads), "memory": f"{submission.mib}Mi"}
    container: dict[str, Any] = {
        "name": "daskome",
        "image": pod.container,
        "command": [*command, "--quiet"],
        "resources": {"requests": asked, "limits": {"memory": asked["memory"]}},
    }
    spec: dict[str, Any] = {"restartPolicy": "Never", "containers": [container]}
    if pod.secret:
        container["envFrom"] = [{"secretRef": {"name": pod.secret}}]
    if pod.claim:
        container["volumeMounts"] = [{"name": "data", "mountPath": pod.claim[1]}]
        spec["volumes"] = [pod.volume()]
    job = {"completionMode": "Indexed", "completions": n, "parallelism": n, "backoffLimitPerIndex": POD_RETRIES}
    deadline = {"activeDeadlineSeconds": 3600 * submission.hours}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"app": "daskome"}},
        "spec": {**job, **deadline, "template": {"metadata": {"labels": {"app": "daskome"}}, "spec": spec}},
    }
