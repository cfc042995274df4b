"""Which guest templates which framework: scores of a pair among all pairs of a campaign.

Definitions of Schwalbe-Koda et al., Science 374, 308 (2021), as its tables show them
(github.com/learningmatter-mit/Zeolite-Phase-Competition, ``data/osda_competition/*.csv``):

- competition: the binding energy of a guest in a framework less its second lowest one among all
  frameworks, per T site (so it is negative for the best framework only, and zero for the second);
- directivity: the same among all guests of a framework;
- templating: the mean of four free energies of Boltzmann distributions at 400 K,

      T = -(k T / 4) ln(p_competition p_directivity q_competition q_directivity),

  p of energies per T site, q of energies per atom of the guest (hydrogens counted), either among
  all frameworks of the guest (competition) or all guests of the framework (directivity).

How far the tables, in kJ/mol, confirm that: competition on OSDA_1 to all digits. Of templating, on
23 frameworks x OSDA_1, 2 and 4 the terms that depend on the pair, 1/2 of the energy per SiO2 and
1/2 of the energy per atom, to 1e-12; on the 90 frameworks of both OSDA_1 and 13 what is left is one
constant to 3e-10, and it is the difference of the sums over all frameworks at 400 K to 2e-8 (at
350 and 450 K it misses by 0.06 and 0.05). The sums over guests are constants of the frameworks
there, and could not be checked. ``benchmarks/zeolite/templating.py`` repeats this.

ASSUME: of a framework and guest with several arrangements or loadings the lowest energy stands for
the pair in what the others compete with; the tables have one row a pair. Lower is better in all.

Uncertainties are told member by member: each member ranks all pairs by its own energies.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd

from molsieve.chem.molecules import parse_molecule
from molsieve.domains.zeolite.calibration import t_sites
from molsieve.domains.zeolite.identifiers import parse_identifier
from molsieve.units import BOLTZMANN_EV_PER_K

SYNTHESIS_K = 400.0
"""Temperature of the templating energies in the tables named above."""


def over_second_lowest(energies: np.ndarray, groups: np.ndarray, rivals: np.ndarray) -> np.ndarray:
    """(…, C) energies less the second lowest rival's of their group, NaN where it has only one.

    Args:
        groups: (C,) text: the guest (competition) or the framework (directivity).
        rivals: (C,) text: who competes in a group, the framework or the guest; of each its lowest
            energy counts.
    """
    result = np.full(np.shape(energies), np.nan)
    for members in _members(groups):
        best = _lowest_of_each(energies[..., members], rivals[members])
        if best.shape[-1] > 1:
            second = np.sort(best, axis=-1)[..., 1:2]
            result[..., members] = energies[..., members] - np.where(
                second < np.inf, second, np.nan
            )
    return result


def _lowest_of_each(energies: np.ndarray, rivals: np.ndarray) -> np.ndarray:
    """(…, R) lowest energy of each distinct rival; infinite where it has none."""
    filled = np.where(np.isnan(energies), np.inf, energies)
    lowest = [filled[..., members].min(axis=-1) for members in _members(rivals)]
    return np.stack(lowest, axis=-1)


def free_energies(energies: np.ndarray, groups: np.ndarray, rivals: np.ndarray) -> np.ndarray:
    """(…, C) -k T ln p, p the Boltzmann weight among a group's rivals at 400 K, eV.

    Args:
        groups, rivals: as of :func:`over_second_lowest`; one with a rival's lowest energy has that
            rival's weight, others of that rival have less.
    """
    scale = BOLTZMANN_EV_PER_K * SYNTHESIS_K
    result = np.full(np.shape(energies), np.nan)
    for members in _members(groups):
        part = energies[..., members]
        best = _lowest_of_each(part, rivals[members])
        low = best.min(axis=-1, keepdims=True)
        low = np.where(np.isfinite(low), low, np.nan)  # a group of which nothing is known
        sums = np.exp(-(best - low) / scale).sum(axis=-1, keepdims=True)
        result[..., members] = part - low + scale * np.log(sums)
    return result


def templating(
    per_t: np.ndarray, per_atom: np.ndarray, frameworks: np.ndarray, guests: np.ndarray
) -> np.ndarray:
    """(…, C) templating energies, eV.

    Args:
        per_t, per_atom: (…, C) binding energies, eV a T site and eV an atom of the guest.
        frameworks, guests: (C,) text.
    """
    parts = [
        free_energies(energies, *pair)
        for energies in (per_t, per_atom)
        for pair in ((guests, frameworks), (frameworks, guests))
    ]
    return sum(parts[1:], parts[0]) / len(parts)


def ranking_columns(
    ranking: pd.DataFrame, members: np.ndarray, framework_numbers: Sequence[Sequence[int] | None]
) -> pd.DataFrame:
    """What the ``ranking`` tells of zeolites beside the binding energy, in its order.

    A labelled candidate counts with its label for every member, any other with each member's own
    prediction. Of a framework and guest with several arrangements or loadings the lowest stands for
    the pair in what the others compete with.

    Args:
        ranking: candidate_id, identifier, label_value; framework_ev_per_t where it is labelled.
        members: (M, C) predicted binding energies a guest, NaN where there is none.
        framework_numbers: of each candidate's empty framework, None where it was not built.

    Returns:
        framework_ev_per_t (against quartz, of pure silica only), binding_ev_per_t and the scores
        competition and directivity, each ``_ev_per_t`` with its ``_std_ev_per_t``, templating
        ``_ev`` with its ``_std_ev``; t_sites_per_guest of the cell that was docked in, which may be
        the framework's repeated: the more there are, the nearer to zero is all that is per T site.

    Raises:
        MoleculeError: an identifier whose guest is no molecule.
    """
    parts = [parse_identifier(text) for text in ranking["identifier"]]
    sites = [np.nan if numbers is None else t_sites(numbers) for numbers in framework_numbers]
    loading = np.array([part.loading for part in parts], float)
    known = ranking["label_value"].to_numpy(float)
    a_guest = np.where(np.isnan(known), members, known)
    energies = a_guest * loading / np.array(sites, float)
    per_atom = a_guest / np.array([_atoms(part.guest) for part in parts], float)
    frameworks = np.array([part.framework for part in parts], dtype=object)
    guests = np.array([part.guest for part in parts], dtype=object)
    scores = {
        ("competition", "ev_per_t"): over_second_lowest(energies, guests, frameworks),
        ("directivity", "ev_per_t"): over_second_lowest(energies, frameworks, guests),
        ("templating", "ev"): templating(energies, per_atom, frameworks, guests),
    }
    columns = {
        "framework_ev_per_t": _by_host(ranking, [part.host for part in parts]),
        "binding_ev_per_t": energies.mean(axis=0),
        "t_sites_per_guest": np.array(sites, float) / loading,
    }
    for (name, unit), values in scores.items():
        columns[f"{name}_{unit}"] = values.mean(axis=0)
        columns[f"{name}_std_{unit}"] = values.std(axis=0, ddof=1)
    return pd.DataFrame(columns, index=ranking.index)


@cache
def _atoms(smiles: str) -> int:
    """Atoms of a molecule, hydrogens counted."""
    return int(parse_molecule(smiles).GetNumAtoms(onlyExplicit=False))


def _by_host(ranking: pd.DataFrame, hosts: list[str]) -> np.ndarray:
    """A framework's energy is known to all its candidates once one of them had it labelled."""
    known = ranking.get("framework_ev_per_t", pd.Series(np.nan, ranking.index)).astype(float)
    lowest = known.groupby(np.array(hosts, dtype=object)).transform("min")
    return lowest.to_numpy(float)


def _members(groups: np.ndarray) -> list[np.ndarray]:
    _, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return [np.flatnonzero(index == k) for k in range(index.max(initial=-1) + 1)]
