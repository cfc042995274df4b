"""How far a training has come, by its checkpoint; neither imports torch (seconds) nor unpickles.

A checkpoint is a zip archive whose ``data.pkl`` names every value of the state; numbers of epochs
are plain integers there, and ``pickletools`` lists them without running anything.
"""

from __future__ import annotations

import pickletools
import zipfile
from itertools import pairwise
from pathlib import Path

CHECKPOINT = "checkpoint.pt"


def epochs_trained(folder: Path) -> int | None:
    """Epochs in the checkpoint of the training that writes to ``folder``; None if it has none."""
    try:
        with zipfile.ZipFile(Path(folder) / CHECKPOINT) as archive:
            name = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            contents = archive.read(name)
    except (FileNotFoundError, zipfile.BadZipFile, StopIteration):
        return None
    values = [
        argument
        for opcode, argument, _ in pickletools.genops(contents)
        if "PUT" not in opcode.name and opcode.name != "MEMOIZE"
    ]
    for key, value in pairwise(values):
        if key == "epoch" and isinstance(value, int):
            return value
    return None
