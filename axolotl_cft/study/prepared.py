"""The prepared datasets that all runs of a study share: whole or absent, whoever reads them.

The host's `preprocess` writes over a prepared folder that is there, which a training elsewhere may
be reading. So each arm's is made in a folder of its own and renamed into the shared one. What a
later stage trains on is prepared by its training, straight into the shared folder, under the lock
of the host's.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from axolotl_cft.host.output_dir import LEDGER_FILE
from axolotl_cft.host.sources import adopt_sources
from axolotl_cft.study.plan import PREPARED, Step

_LOCK = "datasets_prep.lock"
"""Held by the host while it loads or prepares (axolotl/utils/data/lock.py)."""

_LEFT_BY_HOST = ("datasets_ready.flag", "process_counter.txt")


def workshop(root: Path, step: Step) -> Path:
    """The folder in which an arm's data are prepared, before they are shared."""
    return root / f"{PREPARED}.partial" / step.run.arm


def share(made: Path, prepared: Path) -> None:
    """Move an arm's prepared datasets to where all runs look for them.

    One that is there already is the same, by its name; ours is dropped then. A program of the
    user's that prepares somewhere else leaves nothing to move.

    Raises:
        CFTError: a record cannot be read or written.
    """
    if not made.is_dir():
        return
    adopt_sources(made, prepared)
    for folder in sorted(path for path in made.iterdir() if path.is_dir()):
        ledger = f"{folder.name}.{LEDGER_FILE}"
        if not (prepared / folder.name).exists():
            if (made / ledger).is_file():
                (made / ledger).replace(prepared / ledger)
            with suppress(OSError):  # another arm with the same data came first
                folder.rename(prepared / folder.name)
    shutil.rmtree(made)
    with suppress(OSError):  # other arms are at work
        made.parent.rmdir()


def clear_half_prepared(prepared: Path) -> list[str]:
    """Remove what a killed training left half-prepared, unless somebody prepares just now.

    A folder is whole once `dataset_info.json`, which is written last
    (datasets/arrow_dataset.py::save_to_disk), stands beside `state.json`. A half-saved one would
    make its hash unusable for good, and the host's counter and flag (axolotl/utils/data/lock.py)
    would stay above zero.

    Args:
        prepared: the study's `dataset_prepared_path`.

    Returns:
        Names of the removed folders.
    """
    if not prepared.is_dir():
        return []
    lock = FileLock(prepared / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return []
    try:
        half = sorted(path for path in prepared.iterdir() if path.is_dir() and not _whole(path))
        for folder in half:
            shutil.rmtree(folder)
            folder.with_name(f"{folder.name}.{LEDGER_FILE}").unlink(missing_ok=True)
        for name in _LEFT_BY_HOST:
            (prepared / name).unlink(missing_ok=True)
        return [folder.name for folder in half]
    finally:
        lock.release()


def _whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("state.json", "dataset_info.json"))
