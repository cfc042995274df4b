"""What the answer tells of an emitter beside its objectives: wavelengths, colour and rates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from molsieve.chem.colour import emission_chromaticity
from molsieve.chem.photophysics import (
    radiative_rate_per_s,
    reverse_crossing_rate_per_s,
    wavelength_nm,
)
from molsieve.domains.oled.goals import Ranking


def answer_columns(best: pd.DataFrame, ranking: Ranking) -> pd.DataFrame:
    """Wavelength, rates, and (with a stated Stokes shift and linewidth) the colour of candidates.

    The radiative rate is that at the emitted photon's energy: of the vertical absorption where no
    Stokes shift is stated, which makes it an upper bound.

    Args:
        best: the best estimate (label, else prediction) of each objective, one column each.

    Returns:
        On the same index absorption_nm, radiative_rate_per_s, reverse_crossing_rate_per_s, and
        emission_nm, cie_x, cie_y: NaN without ``photophysics.emission``.
    """
    told = ranking.photophysics
    singlet = best["singlet_energy"].to_numpy(float)
    singlet = np.where(singlet > 0, singlet, np.nan)
    emitted = singlet
    colour = {name: np.full(len(best), np.nan) for name in ("emission_nm", "cie_x", "cie_y")}
    if told.emission is not None:
        emitted = singlet - told.emission.stokes_shift_ev
        emitted = np.where(emitted > 0, emitted, np.nan)
        xy = emission_chromaticity(emitted, told.emission.linewidth_ev)
        colour = {"emission_nm": wavelength_nm(emitted), "cie_x": xy[:, 0], "cie_y": xy[:, 1]}
    return pd.DataFrame(
        {
            "absorption_nm": wavelength_nm(singlet),
            "radiative_rate_per_s": radiative_rate_per_s(
                best["oscillator_strength"].to_numpy(float), emitted
            ),
            "reverse_crossing_rate_per_s": reverse_crossing_rate_per_s(
                best["singlet_triplet_gap"].to_numpy(float),
                told.spin_orbit_coupling_per_cm,
                told.reorganisation_energy_ev,
                told.temperature_k,
            ),
            **colour,
        },
        index=best.index,
    )
