"""Interatomic potentials: networks, training, committees, and what their spread is worth.

Importing the package is cheap; torch comes with :func:`load_committee`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molsieve.potential.calibrated import CalibratedCommittee

__all__ = ["load_committee"]


def load_committee(
    folder: str | Path, round: int | None = None, device: str = "auto"
) -> CalibratedCommittee:
    """The committee of a campaign, with the calibration of its spread, for use anywhere.

    >>> from molsieve.potential import load_committee  # doctest: +SKIP
    >>> atoms.calc = load_committee("results/quickstart").calculator()  # doctest: +SKIP

    Args:
        folder: a campaign's results, ``results/<campaign>``, or what ``molsieve export`` wrote.
        round: of the campaign; None: the last that has been evaluated.
        device: ``cpu``, ``gpu`` or ``auto`` (the GPU where torch sees one), or a name of torch's.

    Raises:
        CampaignError: no such folder, no evaluated round, a missing or damaged member, no GPU.
    """
    from molsieve.potential.calibrated import open_committee

    return open_committee(Path(folder), round, device)
