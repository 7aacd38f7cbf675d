"""Damaged documents of every kind, given to every call that reads them: a trial is a kind, a call and a seed.

``python -m tests.mutations 5000`` tries five thousand seeds of each kind, from 0; ``… 5000 20000`` those from 20,000;
``… kind call seed`` one trial, and shows its error.
"""

import atexit
import json
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import click.testing
import dask
import h5py
import imagecodecs
import mrcfile
import nibabel
import numpy as np
import pydicom
import tensorstore
import tifffile

import daskome
from daskome.cli.main import main
from daskome.inspection.describe import describe
from daskome.inspection.stored_image import read_pyramid

SECONDS = {signal.SIGPROF: (signal.ITIMER_PROF, 10), signal.SIGALRM: (signal.ITIMER_REAL, 60)}
"""Longer is a hang: of work, and in all, as on a machine that others use too."""
NBYTES = 2**30
"""More memory, beyond what the process had, is too much."""
MAPPED_NBYTES = 2**32
"""More cannot be asked for, so that no machine suffers."""
MANY_NBYTES = 2**26
"""Images that say that they are larger are planned, not written."""
MEANT = (ValueError, TypeError, FileNotFoundError, FileExistsError, NotADirectoryError, ImportError, daskome.WriteError)
"""Errors that a call may end in, if our code raises them."""
RANDOM = np.random.default_rng(0)
CELLS = RANDOM.integers(0, 9, (16, 16), "uint8")
STACK = RANDOM.integers(0, 900, (3, 20, 24), "uint16")
IMAGE = RANDOM.integers(0, 99, (2, 16, 16), "uint8")
DICOM_SLICE = Path(pydicom.__file__).parent / "data/test_files/MR_small.dcm"

Files = dict[str, bytes]
Call = Callable[[Path, Path], Any]
"""What is done with a damaged input; the second path is for what it writes."""


LAST = Path(tempfile.gettempdir(), "mutations-last")


ADDRESS = re.compile(r"mutated-|level s\d|(^|\n)[\w./*-]+: |multiscales|metadata|labels|plate|axes|axis|attributes")
"""Is in what an error says: the folder of the trial, the path of a group, a level, or a section of the metadata."""


class Hung(BaseException):
    """A call takes too long, or too much."""


# ---- values and bytes ----------------------------------------------------------------------------------------------

ODD: list[Any] = [
    None, True, False, 0, 1, 5, -1, 2**31, 2**63, 2**64, 10**400, 1.5, -0.0, 1e308, float("nan"), float("inf"), "", "x",
    "0", "-1", "é\u0000\ud800", "../x", "/", "a/b", "NaN", "x" * 300, "gaussian", "os:system", "0.4", "0.6", "<u2", "|O",
    [], [[]], [None], [1], {}, {"a": 1}, {"name": "zstd"}, {"id": "blosc"},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in pairs for place in places(item, (*path, key)))]


def nested(value: Any) -> Any:
    for _ in range(300):
        value = [value]
    return value


def odd_value(old: Any, chance: random.Random) -> Any:
    """Return a value in place of another: any, or one near it."""
    near = [[old], {"a": old}, str(old), nested(old)]
    if isinstance(old, int | float) and abs(old) < 1e300:
        near += [-old, old + 1, old * 1000, old / 3, float(old)]
    if isinstance(old, list):
        near += [old + old, old[:-1], old[::-1], [*old, None]]
    if isinstance(old, str):
        near += [old + "/", old.upper(), old[1:], old + old]
    return chance.choice(near if chance.random() < 0.4 else ODD)


def other_document(document: Any, chance: random.Random) -> Any:
    """Return a JSON document with one or two values replaced, deleted, or put where others are."""
    document = deepcopy(document)
    for _ in range(chance.choice([1, 1, 1, 2])):
        found = places(document)
        *above, last = chance.choice(found) or [None]
        if last is None:
            return odd_value(document, chance)
        holder = document
        for key in above:
            holder = holder[key]
        match chance.randrange(8):
            case 0:
                del holder[last]
            case 1:
                other = document
                for key in chance.choice(found):
                    with suppress(LookupError, TypeError):
                        other = other[key]
                holder[last] = deepcopy(other)
            case _:
                holder[last] = odd_value(holder[last], chance)
    return document


def other_json(data: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.1 or not data.startswith((b"{", b"[")):
        return other_bytes(data, chance)
    return json.dumps(other_document(json.loads(data), chance)).encode("utf-8", "surrogatepass")


def other_bytes(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with some flipped, changed, left out, zeroed or added; mostly near the start, where headers are."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 8])):
        n = len(changed)
        at = int(n * chance.random() ** chance.choice([1, 2, 4])) if n else 0
        match chance.randrange(7):
            case 0 | 1 if n:
                changed[at] ^= 1 << chance.randrange(8)
            case 2 | 3 if n:
                changed[at] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
            case 4:
                del changed[at : at + chance.choice([1, 2, 4, 64, n])]
            case 5:
                length = chance.choice([1, 4, 64, 4096])
                changed[at : at + length] = bytes([chance.choice([0, 255])]) * min(length, n - at)
            case _:
                changed[at:at] = chance.randbytes(chance.choice([1, 4, 64]))
    return bytes(changed)


# ---- what is damaged -----------------------------------------------------------------------------------------------


def files_in(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def made(make: Callable[[Path], Any]) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        return files_in(Path(folder))


def image(version: str, folder: Path, **options: Any) -> None:
    labels = {"n": {"labels": CELLS, "axes": "yx", "colors": {1: (1, 2, 3, 4)}}}
    shown = {"channels": ["a", "b"], "labels": labels, "scale": [1, 0.5, 0.5], "axes_units": "micrometer"}
    sharded = {"chunks": 4, "shards": 8} if version != "0.4" else {"chunks": 8}
    daskome.write_image(
        IMAGE, folder / "a.zarr", [2], axes="cyx", fmt=version, storage_options=sharded, **shown, **options
    )


def plate(version: str, folder: Path) -> None:
    daskome.write_plate({"A/1": [CELLS, CELLS], "B/2": [CELLS]}, folder / "a.zarr", [2], axes="yx", fmt=version)


def begun(version: str, folder: Path) -> None:
    target, options = folder / "a.zarr", {"fmt": version, "storage_options": {"chunks": 4}, "memory": "300MB"}
    daskome.write_image(daskome.read(original()), target, [2], axes="cyx", compute="init", **options)
    daskome.run_part(target, part=(0, 2), stage=0)


@cache
def original() -> Path:
    """Return the path of the image that runs were begun with: their plans name it."""
    folder = Path(tempfile.mkdtemp(prefix="mutated-"))
    atexit.register(shutil.rmtree, folder)
    np.save(folder / "in.npy", IMAGE)
    return folder / "in.npy"


def hdf5(folder: Path, name: str, **options: Any) -> None:
    """Write a dataset without labels of its axes: on damaged text of variable length, HDF5's library itself crashes."""
    with h5py.File(folder / name, "w") as file:
        dataset = file.create_dataset("raw", data=STACK, **options)
        dataset.attrs["element_size_um"] = [1.0, 0.5, 0.5]


def imaris(folder: Path) -> None:
    with h5py.File(folder / "a.ims", "w") as file:
        dataset = file.create_dataset(
            "DataSet/ResolutionLevel 0/TimePoint 0/Channel 0/Data", data=STACK, chunks=(2, 8, 8)
        )
        for axis, n in zip("ZYX", STACK.shape, strict=True):
            dataset.parent.attrs[f"ImageSize{axis}"] = np.frombuffer(str(n).encode(), "S1")
        about = file.create_group("DataSetInfo/Image").attrs
        for i in range(3):
            about[f"ExtMin{i}"], about[f"ExtMax{i}"] = (np.frombuffer(v, "S1") for v in (b"0", b"20.5"))
        file.create_group("DataSetInfo/Channel 0").attrs["Color"] = np.frombuffer(b"1.0 0.5 0.0", "S1")


def mrc(folder: Path) -> None:
    with mrcfile.new(folder / "a.mrc") as file:
        file.set_data(STACK)
        file.voxel_size = 2.0


def nifti(folder: Path, name: str) -> None:
    written = nibabel.Nifti1Image(STACK.astype("int16").T, np.diag([0.5, 0.5, 1, 1]))
    written.header.set_xyzt_units("mm", "sec")
    nibabel.save(written, folder / name)


def tiff(folder: Path, name: str, **options: Any) -> None:
    tifffile.imwrite(folder / name, STACK, **{"photometric": "minisblack", **options})


def dicom(folder: Path) -> None:
    """Write a series of slices that are encapsulated, each a file of its own."""
    for z, plane in enumerate(STACK):
        file = pydicom.dcmread(DICOM_SLICE)
        file.Rows, file.Columns = plane.shape
        file.ImagePositionPatient, file.SOPInstanceUID = [0, 0, 2 * z], f"1.2.{z + 1}"
        file.PixelData = plane.astype("int16").tobytes()
        if z:
            file.compress(pydicom.uid.RLELossless)
        (folder / "a.series").mkdir(exist_ok=True)
        file.save_as(folder / f"a.series/{z}.dcm")


def dicom_frames(folder: Path) -> None:
    """Write the slices as the frames of one file."""
    file = pydicom.dcmread(DICOM_SLICE)
    file.NumberOfFrames, (file.Rows, file.Columns) = len(STACK), STACK.shape[1:]
    file.PixelData = STACK.astype("int16").tobytes()
    file.save_as(folder / "a.dcm")


def written_by_tensorstore(folder: Path, name: str, spec: Mapping[str, Any], values: Any) -> None:
    """Write an array whose fastest axis is the first, as these formats have it."""
    store = {"driver": "file", "path": f"{folder.as_posix()}/{name}/"}
    tensorstore.open({**spec, "kvstore": store}, create=True).result().write(values).result()


N5: dict[str, Any] = {
    "driver": "n5",
    "metadata": {
        "dimensions": STACK.shape[::-1], "blockSize": [8, 8, 2], "dataType": "uint16", "compression": {"type": "gzip"},
        "resolution": [0.5, 0.5, 2.0], "units": ["um", "um", "um"], "axes": ["x", "y", "z"],
    },
}  # fmt: skip
PRECOMPUTED: dict[str, Any] = {
    "driver": "neuroglancer_precomputed",
    "multiscale_metadata": {"type": "image", "data_type": "uint16", "num_channels": 1},
    "scale_metadata": {
        "size": STACK.shape[::-1], "resolution": [4, 4, 40], "chunk_size": [8, 8, 2], "encoding": "raw",
        "voxel_offset": [5, 6, 7],
    },
}  # fmt: skip
SHARDED: dict[str, Any] = {
    **PRECOMPUTED,
    "scale_metadata": {
        **PRECOMPUTED["scale_metadata"],
        "sharding": {
            "@type": "neuroglancer_uint64_sharded_v1", "preshift_bits": 1, "minishard_bits": 1, "shard_bits": 1,
            "hash": "identity", "minishard_index_encoding": "gzip", "data_encoding": "gzip",
        },
    },
}  # fmt: skip


TIFFS: dict[str, tuple[str, dict[str, Any]]] = {
    "TIFF, mapped": ("a.tif", {}),
    "TIFF, tiles": ("a.tif", {"tile": (16, 16), "compression": "zlib", "predictor": True}),
    "TIFF, strips": ("a.tif", {"rowsperstrip": 7, "compression": "lzw", "bigtiff": True}),
    "TIFF, zstd": ("a.tif", {"tile": (16, 16), "compression": "zstd", "byteorder": ">"}),
    "OME-TIFF": ("a.ome.tif", {"metadata": {"axes": "ZYX", "PhysicalSizeX": 0.5}, "compression": "zlib"}),
    "ImageJ": ("a.tif", {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 2.0}, "resolution": (2, 2)}),
    "JPEG": ("a.tif", {"tile": (16, 16), "compression": "jpeg"}),
}


def is_document(name: str) -> bool:
    return name.rpartition("/")[2] in ("zarr.json", ".zattrs", ".zarray", ".zgroup", ".zmetadata")


def is_chunk(name: str) -> bool:
    return not is_document(name) and ".daskome" not in name and name.startswith("a.zarr/")


def is_record(name: str) -> bool:
    return ".daskome" in name


def signed(files: Files, chance: random.Random) -> Files:
    """Return a run with another plan that says that it is the one that was saved: what a stranger would make."""
    name = next(name for name in files if name.endswith("plan.json"))
    saved = json.loads(files[name])
    part = chance.choice(["plan", "plan", "plan", "images"])
    saved[part] = other_document(saved[part], chance)
    kept = {key: saved[key] for key in ("images", "plan")}
    digest = sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]
    old, saved["id"] = saved["id"], f"{saved['id'].rpartition('-')[0]}-{digest}"
    text = json.dumps(saved).encode("utf-8", "surrogatepass")
    renamed = {key.replace(old, saved["id"]): value for key, value in {**files, name: text}.items()}
    renamed["a.zarr/.daskome/current"] = saved["id"].encode()
    return {key: _without_fingerprint(value) if key == "a.zarr/zarr.json" else value for key, value in renamed.items()}


def _without_fingerprint(data: bytes) -> bytes:
    document = json.loads(data)
    document["attributes"]["daskome"].pop("fingerprint", None)
    return json.dumps(document).encode()


def damaged(
    includes: Callable[[str], bool],
    change: Callable[[bytes, random.Random], bytes],
    files: Files,
    chance: random.Random,
) -> Files:
    """Return files of which one is changed; seldom one is missing."""
    name = chance.choice([name for name in files if includes(name)])
    if chance.random() < 0.03:
        return {key: value for key, value in files.items() if key != name}
    return {**files, name: change(files[name], chance)}


# ---- what is done with it ------------------------------------------------------------------------------------------


def small(source: Any) -> Any:
    """Return a source that is small enough to be written; others are only planned."""
    plan = daskome.plan_image(source)
    return source if plan.nbytes <= MANY_NBYTES else None


def rewritten(path: Path, out: Path, **said: Any) -> None:
    source = small(daskome.read(path, **said))
    if source is not None:
        daskome.write_image(source, out, retries=0)


def copied(path: Path, out: Path, **said: Any) -> None:
    source = small(daskome.read(path, **said))
    if source is not None:
        daskome.write_image(
            source, out, [2], retries=0, storage_options={"chunks": 16}, overwrite=True, axes=source.dims
        )


def tried(path: Path, out: Path, **said: Any) -> None:
    source = small(daskome.read(path, **said))
    if source is not None:
        daskome.try_codecs(source, seconds=0.01) if False else daskome.try_codecs(source)


def of_size(path: Path, call: Callable[[], Any]) -> None:
    """Call, unless an image says that it is so large that the call would take long, as it should."""
    for found in (path, *path.glob("[A-Z]/*/*")):
        with suppress(Exception):
            pyramid = read_pyramid(found)
            if any(np.prod([float(n) for n in level.shape]) > MANY_NBYTES / 8 for level in pyramid.levels):
                return
    call()


def command(words: str, path: Path, out: Path) -> None:
    """Run the command in this process; raise what it reports."""
    arguments = [word.replace("IN", str(path)).replace("OUT", str(out)) for word in words.split()]
    result = click.testing.CliRunner().invoke(main, arguments)
    if result.exception is None or isinstance(result.exception, SystemExit):
        assert result.exit_code in (0, 1, 2), (result.exit_code, result.output)
        assert "Traceback" not in result.output
        cause = getattr(result.exception, "__cause__", None)
        if cause is not None:
            assert result.exit_code == (1 if isinstance(cause, daskome.WriteError) else 2), result.output
            raise cause
    else:
        raise result.exception


def file_calls(flags: str = "", **said: Any) -> dict[str, Call]:
    """Return what is done with files; of those that do not describe themselves, it is said, in both languages."""

    def command_written(path: Path, out: Path) -> None:
        if small(daskome.read(path, **said)) is not None:
            command(f"write IN OUT -q --retries 0 {flags}", path, out)

    return {
        "read": lambda path, out: daskome.read(path, **said),
        "plan": lambda path, out: daskome.plan_image(daskome.read(path, **said)),
        "write": partial(rewritten, **said),
        "overwrite": partial(copied, **said),
        "codecs": partial(tried, **said),
        "$ plan": partial(command, f"plan IN {flags}"),
        "$ write": command_written,
        "$ verify": partial(command, f"verify OUT --source IN -q {flags}"),
    }


FILE_CALLS = file_calls()
RAW_CALLS = file_calls("--shape 3,20,24 --dtype uint16 --offset 100", shape=STACK.shape, dtype="uint16", offset=100)
STORE_CALLS: dict[str, Call] = {
    **{name: FILE_CALLS[name] for name in ("read", "plan", "write", "codecs", "$ plan")},
    "validate": lambda path, out: daskome.validate(path),
    "verify": lambda path, out: of_size(path, lambda: daskome.verify(path, pixels=True)),
    "verify some": lambda path, out: daskome.verify(path, pixels=2),
    "info": lambda path, out: describe(path),
    "preview": lambda path, out: of_size(path, lambda: daskome.preview(path, f"{out}.png")),
    "status": lambda path, out: daskome.status(path),
    "pyramid": lambda path, out: read_pyramid(path),
    "transcode": lambda path, out: of_size(path, lambda: daskome.transcode(path, out, fmt="0.5", retries=0)),
    "transcode anew": lambda path, out: of_size(
        path, lambda: daskome.transcode(path, out, fmt="0.4", storage_options={"chunks": 8}, retries=0)
    ),
    "labels": lambda path, out: daskome.write_labels(CELLS, path, "m", None, axes="yx", retries=0),
    "labels over": lambda path, out: daskome.write_labels(CELLS, path, "n", [2], axes="yx", overwrite=True, retries=0),
    "label pyramid": lambda path, out: daskome.write_multiscale_labels([CELLS, CELLS[::2, ::2]], path, "p", axes="yx"),
    "label metadata": lambda path, out: daskome.write_label_metadata(path, "n", colors={1: (1, 2, 3, 4)}),
    "label values": lambda path, out: of_size(
        path / "labels/n", lambda: daskome.label_values(daskome.read(path / "labels/n"))
    ),
    "levels": lambda path, out: of_size(path, lambda: daskome.add_levels(path, [4], retries=0)),
    "overwrite": lambda path, out: daskome.write_image(IMAGE, path, [2], axes="cyx", overwrite=True),
    "overwrite in 0.5": lambda path, out: daskome.write_image(IMAGE, path, [2], axes="cyx", fmt="0.5", overwrite=True),
    "again": lambda path, out: daskome.write_image(IMAGE, path, [2], axes="cyx"),
    "resume": lambda path, out: daskome.write_image(IMAGE, path, [2], axes="cyx", resume=True),
    "plate": lambda path, out: daskome.write_plate({"C/3": CELLS}, path, [2], axes="yx", retries=0),
    "plate over": lambda path, out: daskome.write_plate({"A/1": CELLS}, path, [2], axes="yx", overwrite=True),
    "plate metadata": lambda path, out: daskome.write_plate_metadata(path, ["A"], ["1"], ["A/1"]),
    "well metadata": lambda path, out: daskome.write_well_metadata(path / "A/1", ["0"]),
    "image metadata": lambda path, out: daskome.write_multiscales_metadata(path, [{"path": "s0"}], axes="cyx"),
    "upgrade to 0.4": lambda path, out: daskome.convert_metadata(path, "0.4"),
    "upgrade to 0.5": lambda path, out: daskome.convert_metadata(path, "0.5"),
    "upgrade to 0.6": lambda path, out: daskome.convert_metadata(path, "0.6"),
    "upgrade, dry": lambda path, out: daskome.convert_metadata(path, "0.6", dry_run=True),
    "$ info": partial(command, "info IN"),
    "$ info json": partial(command, "info IN --json"),
    "$ validate": partial(command, "validate IN"),
    "$ verify": partial(command, "verify IN --pixels=1"),
    "$ upgrade": partial(command, "upgrade IN --version 0.6"),
    "$ preview": lambda path, out: of_size(path, lambda: command("preview IN OUT.png", path, out)),
    "$ write": lambda path, out: of_size(path, lambda: command("write IN OUT -q --retries 0", path, out)),
    "$ add levels": lambda path, out: of_size(path, lambda: command("write IN --add-levels -q --factors 4", path, out)),
    "$ status": partial(command, "status IN"),
    "remove": lambda path, out: daskome.remove(path),
    "manifest": lambda path, out: daskome.manifest(path, f"{out}.md5"),
}
RUN_CALLS: dict[str, Call] = {
    **{
        name: STORE_CALLS[name]
        for name in ("read", "validate", "verify", "info", "status", "upgrade to 0.6", "transcode")
    },
    "run": lambda path, out: daskome.run_part(path, retries=0),
    "run a part": lambda path, out: daskome.run_part(path, part=(1, 2), stage=0, retries=0),
    "finish": lambda path, out: daskome.finish(path),
    "script": lambda path, out: daskome.batch_script(path, scheduler="slurm", jobs=2),
    "resume": lambda path, out: resumed(path),
    "overwrite": lambda path, out: resumed(path, overwrite=True),
    "again": lambda path, out: resumed(path, resume=False),
    "$ run": partial(command, "run IN -q --retries 0"),
    "$ finish": partial(command, "finish IN"),
    "$ status": partial(command, "status IN --json"),
    "$ script": partial(command, "script IN --slurm --jobs 3"),
}


def resumed(path: Path, resume: bool = True, overwrite: bool = False) -> None:
    daskome.write_image(
        daskome.read(original()), path, [2], axes="cyx", storage_options={"chunks": 4}, memory="300MB",
        retries=0, resume=resume and not overwrite, overwrite=overwrite,
    )  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A row of `KINDS`: what is damaged, how, and what is done with it.

    Attributes
    ----------
    make : callable
        Writes it into a folder.
    path : str
        Of the input in that folder.
    damage : callable
        Returns files of which some are damaged.
    calls : dict of str to callable
    """

    make: Callable[[Path], Any]
    path: str
    damage: Callable[[Files, random.Random], Files]
    calls: Mapping[str, Call]


anything = partial(damaged, lambda name: True, other_bytes)
documents = partial(damaged, is_document, other_json)
chunks = partial(damaged, is_chunk, other_bytes)


def folders(files: Files, chance: random.Random) -> Files:
    """Return folders of chunks with another document, or, less often, with other chunks."""
    is_chosen = is_description if chance.random() < 0.7 else is_stored_chunk
    return damaged(is_chosen, other_json if is_chosen is is_description else other_bytes, files, chance)


def is_description(name: str) -> bool:
    return name.rpartition("/")[2] in ("attributes.json", "info")


def is_stored_chunk(name: str) -> bool:
    return not is_description(name)


KINDS: dict[str, Kind] = {
    **{
        name: Kind(partial(tiff, name=file, **options), file, anything, FILE_CALLS)
        for name, (file, options) in TIFFS.items()
    },
    "NIfTI": Kind(partial(nifti, name="a.nii"), "a.nii", anything, FILE_CALLS),
    "NIfTI, gzip": Kind(partial(nifti, name="a.nii.gz"), "a.nii.gz", anything, FILE_CALLS),
    "HDF5": Kind(partial(hdf5, name="a.h5"), "a.h5", anything, FILE_CALLS),
    "HDF5, chunks": Kind(
        partial(hdf5, name="a.h5", chunks=(1, 8, 8), compression="gzip", shuffle=True, fletcher32=True),
        "a.h5", anything, FILE_CALLS,
    ),
    "Imaris": Kind(imaris, "a.ims", anything, FILE_CALLS),
    "PNG": Kind(lambda folder: imagecodecs.imwrite(folder / "a.png", STACK[0]), "a.png", anything, FILE_CALLS),
    "MRC": Kind(mrc, "a.mrc", anything, FILE_CALLS),
    "DICOM": Kind(dicom, "a.series", anything, FILE_CALLS),
    "DICOM, frames": Kind(dicom_frames, "a.dcm", anything, FILE_CALLS),
    **{
        name: Kind(partial(written_by_tensorstore, name=path, spec=spec, values=values), path, folders, FILE_CALLS)
        for name, path, spec, values in (
            ("N5", "a.n5", N5, STACK.T),
            ("precomputed", "a.precomputed", PRECOMPUTED, STACK.T[..., np.newaxis]),
            ("precomputed, shards", "a.precomputed", SHARDED, STACK.T[..., np.newaxis]),
        )
    },
    "raw": Kind(lambda folder: (folder / "a.raw").write_bytes(bytes(100) + STACK.tobytes()), "a.raw", anything, RAW_CALLS),
    "NumPy": Kind(lambda folder: np.save(folder / "a.npy", STACK), "a.npy", anything, FILE_CALLS),
    **{f"image {v}": Kind(partial(image, v), "a.zarr", documents, STORE_CALLS) for v in ("0.4", "0.5", "0.6")},
    **{f"plate {v}": Kind(partial(plate, v), "a.zarr", documents, STORE_CALLS) for v in ("0.4", "0.5")},
    **{f"chunks {v}": Kind(partial(image, v), "a.zarr", chunks, STORE_CALLS) for v in ("0.4", "0.5")},
    **{
        f"journal {v}": Kind(partial(begun, v), "a.zarr", partial(damaged, is_record, other_json), RUN_CALLS)
        for v in ("0.4", "0.5")
    },
    "run": Kind(partial(begun, "0.5"), "a.zarr", partial(damaged, is_document, other_json), RUN_CALLS),
    "signed plan": Kind(partial(begun, "0.5"), "a.zarr", signed, RUN_CALLS),
}  # fmt: skip
TRIALS = [(kind, call) for kind, row in KINDS.items() for call in row.calls]


@cache
def intact(kind: str) -> Files:
    return made(KINDS[kind].make)


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@contextmanager
def bounded() -> Iterator[None]:
    """End what takes too long, and refuse memory beyond what is allowed."""

    def stop(*_: Any) -> None:
        raise Hung("it takes too long")

    before = {number: signal.signal(number, stop) for number in SECONDS}
    limits = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MAPPED_NBYTES, limits[1]))
    Path("/proc/self/clear_refs").write_text("5")  # What was the peak is forgotten.
    used = peak()
    for timer, seconds in SECONDS.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for number, (timer, _) in SECONDS.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])
        resource.setrlimit(resource.RLIMIT_AS, limits)
        if peak() - used > NBYTES:
            raise Hung("more than a GiB of memory")


def attempt(kind: str, call: str, seed: int) -> tuple[BaseException | None, bool]:
    """Return the error of a trial, None if the call does its work; and whether files are other ones than before."""
    row, chance = KINDS[kind], random.Random(f"{kind} {call} {seed}")
    files = row.damage(intact(kind), chance)
    folder, failed = Path(tempfile.mkdtemp(prefix="mutated-")), None
    try:
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        with warnings.catch_warnings(action="ignore"), bounded(), dask.config.set(scheduler="sync"):
            row.calls[call](folder / row.path, folder / "out.zarr")
    except (Exception, Hung) as error:
        failed = error
    finally:
        changed = files_in(folder) != files
        shutil.rmtree(folder)
    return failed, changed


def is_ours(error: BaseException) -> bool:
    """Whether our code raises it, rather than Python or a library on behalf of our code."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return "/daskome/" in frame.filename and (frame.line or "").lstrip().startswith("raise ")


def wrong(error: BaseException | None, changed: bool) -> str:
    """Return what is wrong with how a trial ended; empty if that was meant."""
    if error is None:
        return ""
    if not isinstance(error, MEANT) or not is_ours(error):
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "/daskome/" in frame.filename][-1:]
        return f"{type(error).__name__}, by {[f'{Path(f.filename).name}:{f.lineno}' for f in ours]}"
    if not ADDRESS.search(str(error)):
        return f"no address: {str(error)[:50]}"
    if changed and not isinstance(error, daskome.WriteError):
        return f"refused late: {str(error)[:50]}"
    return ""


def run(n: int, first: int) -> int:
    found: Counter[str] = Counter()
    example: dict[str, str] = {}
    trials = outcomes = 0
    for seed in range(first, first + n):
        for kind in KINDS:
            call = random.Random(f"{kind}{seed}").choice(list(KINDS[kind].calls))
            trials += 1
            LAST.write_text(f"{kind!r} {call!r} {seed}")
            error, changed = attempt(kind, call, seed)
            outcomes += error is not None
            if what := wrong(error, changed):
                if not found[what]:
                    print(f"{kind!r} {call!r} {seed}: {what}: {str(error)[:150]!r}", flush=True)
                found[what] += 1
                example.setdefault(what, f"{kind!r} {call!r} {seed}: {str(error)[:150]!r}")
    print(f"{trials} trials, {outcomes} errors, {sum(found.values())} of {len(found)} kinds not meant")
    for what, count in found.most_common():
        print(f"{count:5} {what}\n      {example[what]}")
    return len(found)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if len(arguments) == 3:
        error, changed = attempt(arguments[0], arguments[1], int(arguments[2]))
        if error is not None:
            traceback.print_exception(error)
        print("wrong:", wrong(error, changed) or "nothing")
    else:
        sys.exit(bool(run(int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0)))
