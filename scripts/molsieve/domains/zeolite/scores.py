"""Which guest templates which framework: scores of a pair among all pairs of a campaign.

Definitions of Schwalbe-Koda et al., Science 374, 308 (2021), as far as they can be read without its
text: the paper's tables (github.com/learningmatter-mit/Zeolite-Phase-Competition,
``data/osda_competition/*.csv``) hold, per SiO2 and per guest,

- competition: the binding energy of a guest in a framework less its second lowest one among all
  frameworks (so it is negative for the best framework only, and zero for the second);
- directivity: the same among all guests of a framework.

Checked on their OSDA_1: binding -18.009 (AEI), -14.132 (SAS) kJ/mol SiO2 give competitions -3.877
and 0.000. The tables' templating energy combines both; its exact form could not be read, so here it
is the mean of the two free energies of a Boltzmann distribution over energies per T site,

    T = -(k T / 2) ln(p_competition p_directivity),

p_competition the weight of the framework among all frameworks of the guest, p_directivity of the
guest among all guests of the framework. ASSUME 400 K, the temperature of synthesis that the same
group uses (``SYNTH_TEMP`` in its analysis code). Lower is better in all three.

Uncertainties are told member by member: each member ranks all pairs by its own energies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from molsieve.crystals.soundness import kinds_of
from molsieve.domains.zeolite.identifiers import parse_identifier
from molsieve.units import BOLTZMANN_EV_PER_K

SYNTHESIS_K = 400.0


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


def free_energies(energies: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(…, C) -k T ln p, p the Boltzmann weight in the group at 400 K, eV."""
    scale = BOLTZMANN_EV_PER_K * SYNTHESIS_K
    result = np.full(np.shape(energies), np.nan)
    for members in _members(groups):
        part = energies[..., members]
        low = np.where(np.isnan(part), np.inf, part).min(axis=-1, keepdims=True)
        low = np.where(np.isfinite(low), low, np.nan)  # a group of which nothing is known
        sums = np.nansum(np.exp(-(part - low) / scale), axis=-1, keepdims=True)
        result[..., members] = part - low + scale * np.log(np.where(sums > 0, sums, np.nan))
    return result


def templating(energies: np.ndarray, frameworks: np.ndarray, guests: np.ndarray) -> np.ndarray:
    """(…, C) templating energies, eV per T site, of binding energies per T site."""
    return (free_energies(energies, guests) + free_energies(energies, frameworks)) / 2


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
        competition, directivity and templating, each ``_ev_per_t`` with its ``_std_ev_per_t``.
    """
    parts = [parse_identifier(text) for text in ranking["identifier"]]
    sites = np.array([_t_sites(numbers) for numbers in framework_numbers], float)
    loading = np.array([part.loading for part in parts], float)
    known = ranking["label_value"].to_numpy(float)
    energies = np.where(np.isnan(known), members, known) * loading / sites
    frameworks = np.array([part.framework for part in parts], dtype=object)
    guests = np.array([part.guest for part in parts], dtype=object)
    scores = {
        "competition": over_second_lowest(energies, guests, frameworks),
        "directivity": over_second_lowest(energies, frameworks, guests),
        "templating": templating(energies, frameworks, guests),
    }
    columns = {
        "framework_ev_per_t": _by_host(ranking, [part.host for part in parts]),
        "binding_ev_per_t": energies.mean(axis=0),
    }
    for name, values in scores.items():
        columns[f"{name}_ev_per_t"] = values.mean(axis=0)
        columns[f"{name}_std_ev_per_t"] = values.std(axis=0, ddof=1)
    return pd.DataFrame(columns, index=ranking.index)


def _t_sites(numbers: Sequence[int] | None) -> float:
    return np.nan if numbers is None else float((kinds_of(np.asarray(numbers, int)) == "T").sum())


def _by_host(ranking: pd.DataFrame, hosts: list[str]) -> np.ndarray:
    """A framework's energy is known to all its candidates once one of them had it labelled."""
    known = ranking.get("framework_ev_per_t", pd.Series(np.nan, ranking.index)).astype(float)
    lowest = known.groupby(np.array(hosts, dtype=object)).transform("min")
    return lowest.to_numpy(float)


def _members(groups: np.ndarray) -> list[np.ndarray]:
    _, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return [np.flatnonzero(index == k) for k in range(index.max(initial=-1) + 1)]
