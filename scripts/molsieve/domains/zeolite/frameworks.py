"""Frameworks of a campaign, read or typed in, in the cell that all else counts in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from molsieve.crystals.cif import read_framework
from molsieve.crystals.compensation import compensate, compensation_from_id
from molsieve.crystals.framework import Framework, FrameworkError, primitive, supercell
from molsieve.crystals.known import known_framework
from molsieve.domains.zeolite.config import KNOWN
from molsieve.domains.zeolite.folders import cif_names
from molsieve.engines.cells import repeats

FrameworkSource = tuple[str, str | None]
"""Code, and the CIF file it is read from (None: typed in)."""


def framework_sources(folder: str | None, codes: Sequence[str] | None) -> list[FrameworkSource]:
    """Code and file of each framework of a folder, or of the typed-in ones."""
    if folder is None:
        return [(code, None) for code in codes or KNOWN]
    inside = str(Path(folder))
    return [(name[:-4], os.path.join(inside, name)) for name in cif_names(folder, codes)]


@lru_cache(maxsize=64)
def load_framework(code: str, path: str | None, min_cell_angstrom: float) -> Framework:
    """The framework in its smallest cell of that width (see :func:`smallest_cell`).

    Raises:
        FrameworkError: the file is broken, and why.
    """
    found = known_framework(code) if path is None else read_framework(Path(path))
    named = Framework(code, found.atoms)
    return smallest_cell(named, min_cell_angstrom)


def smallest_cell(framework: Framework, min_cell_angstrom: float) -> Framework:
    """Of the primitive and the given cell, each repeated to be that wide, the one of fewest atoms.

    Wide: no two opposite faces are nearer, as the supercell rule of the levels has it, so that a
    level that asks for the same width repeats nothing. The primitive cell of a body-centred crystal
    is narrow (SOD at 8 Å: 36 atoms of the conventional cell, not 144), that of CHA is not.
    """
    cells = [primitive(framework), framework]
    counts = [repeats(cell.atoms.cell.array, min_cell_angstrom) for cell in cells]
    sizes = [len(cell.atoms) * int(np.prod(n)) for cell, n in zip(cells, counts, strict=True)]
    best = int(np.argmin(sizes))
    return supercell(cells[best], counts[best])


@lru_cache(maxsize=64)
def load_host(code: str, path: str | None, min_cell_angstrom: float, arrangement: str) -> Framework:
    """The framework with heteroatoms and their ions.

    Raises:
        FrameworkError: the file is broken, or the arrangement is of another cell.
    """
    bare = load_framework(code, path, min_cell_angstrom)
    try:
        return compensate(bare, compensation_from_id(bare, arrangement))
    except ValueError as error:
        raise FrameworkError(f"{code}: {error}") from error


def sound_frameworks(
    sources: Sequence[FrameworkSource], min_cell_angstrom: float
) -> Iterator[tuple[FrameworkSource, Framework | str]]:
    """Each source with its framework, or with the reason why it is refused."""
    for code, path in sources:
        try:
            yield (code, path), load_framework(code, path, min_cell_angstrom)
        except (FrameworkError, ValueError) as error:
            yield (code, path), str(error)
