"""A real volume: MNI152, the average of 152 brains, 197x233x189 voxels of 1 mm, from the nilearn wheel."""

from importlib.util import find_spec
from pathlib import Path

BRAIN = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"


def brain() -> Path:
    """Return the path of the volume, without importing nilearn, whose dependencies are not installed."""
    spec = find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the brain comes with nilearn: pip install --no-deps nilearn")
    return Path(spec.submodule_search_locations[0]) / BRAIN


if __name__ == "__main__":
    print(brain())
