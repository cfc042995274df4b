"""The candidates of a zeolite campaign: frameworks x heteroatoms x guests x loadings.

A rejected candidate carries the first reason that applies:

========================  ======================================================================
``framework: <reason>``   its file is refused by :mod:`molsieve.crystals.soundness`
``t_sites``               more T sites a cell than ``filters.max_t_sites``
``heteroatoms: <reason>`` its cell cannot have an entry of ``source.heteroatoms``; one row
``guest: <reason>``       not one closed-shell molecule, or a charge that cannot be compared
``charge``                a charged guest with ``charged_guests: refuse``
``elements``              an element outside ``filters.elements``
``heavy_atoms``           of the guest, outside ``filters.min_heavy_atoms`` … ``max_heavy_atoms``
``sa_score``              a guest harder to make than ``filters.max_sa_score``
========================  ======================================================================
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from rdkit import Chem

from molsieve import tables
from molsieve.chem import molecule_files
from molsieve.chem.fingerprints import BITS, morgan_fingerprint
from molsieve.chem.identities import candidate_id
from molsieve.crystals.framework import Framework
from molsieve.crystals.tetrahedra import SubstitutionError
from molsieve.domains.zeolite import config
from molsieve.domains.zeolite.compositions import PURE, framework_forms
from molsieve.domains.zeolite.folders import contents
from molsieve.domains.zeolite.frameworks import (
    FrameworkSource,
    framework_sources,
    sound_frameworks,
)
from molsieve.domains.zeolite.guests import ScreenedGuest, screened_guests
from molsieve.domains.zeolite.identifiers import Identifier
from molsieve.domains.zeolite.source_checks import check_candidates
from molsieve.section import CampaignError, digest

__all__ = ["check_candidates"]

TYPED_IN = "typed in"
"""``source`` of candidates whose framework is read from no file."""
FRAMEWORK_BITS = 24
"""Bits that a framework sets, about as many as a small guest: they weigh alike in distances."""
ADVICE = {
    "framework": "mend the framework files or name others in candidates.source",
    "heteroatoms": "change candidates.source.heteroatoms, loadings or min_cell_angstrom (the size "
    "of the cell that they count in)",
    "guest": "give guests that can be built",
    "charge": "candidates.source.charged_guests refuses charged guests: give another treatment",
}
"""What helps where candidates are refused for a reason that begins so; else filters do."""


def count_candidates(candidates: config.Candidates) -> tuple[int, bool]:
    """(upper bound, whether exact): before duplicates and filters.

    Raises:
        CampaignError: as :func:`check_candidates`.
    """
    check_candidates(candidates)
    source = candidates.source
    guests = len(source.guests)
    if source.guest_file is not None:
        guests += molecule_files.count_records(Path(source.guest_file), None, source.smiles_column)
    pure = source.model_copy(update={"guests": ["C"] * guests, "guest_file": None})
    many = any(h.counts or h.si_ratios for h in source.heteroatoms)
    balanced = source.charged_guests == config.FRAMEWORK_ALUMINIUM
    return int(config.raw_candidates(pure)), not (many or balanced)


def first_accepted(candidates: config.Candidates, tries: int = 2000) -> bool | None:
    """Whether one of the first ``tries`` raw candidates passes; None if none did and more follow.

    Raises:
        CampaignError: as :func:`check_candidates`.
    """
    rows = iterate_candidates(candidates)
    if any(row["status"] == "accepted" for row in itertools.islice(rows, tries)):
        return True
    return False if next(rows, None) is None else None


def iterate_candidates(candidates: config.Candidates, workers: int = 1) -> Iterator[dict]:
    """Rows of the ``candidates`` table, accepted and rejected, each identity once.

    Framework by framework, in the order of the source; ``workers`` changes nothing.

    Raises:
        CampaignError: as :func:`check_candidates`.
    """
    check_candidates(candidates)
    source, filters = candidates.source, candidates.filters
    guests = list(screened_guests(source, filters))
    sources = framework_sources(source.folder, source.frameworks)
    for origin, framework in sound_frameworks(sources, source.min_cell_angstrom):
        if isinstance(framework, str):
            yield _framework_row(origin, f"framework: {framework}")
            continue
        if len(framework.t_index) > filters.max_t_sites:
            yield _framework_row(origin, "t_sites")
            continue
        yield from _of_framework(origin, framework, guests, candidates)


def _of_framework(
    origin: FrameworkSource,
    framework: Framework,
    guests: list[ScreenedGuest],
    candidates: config.Candidates,
) -> Iterator[dict]:
    """Rows of a sound framework: for each charge of its guests the forms that balance it."""
    source = candidates.source
    entries = source.heteroatoms or [config.Heteroatoms()]
    pairs = list(itertools.product(guests, source.loadings))
    for charge in sorted({guest.charge_e * loading for guest, loading in pairs}):
        hosts: dict[str, set[str]] = {}
        for number, entry in enumerate(entries):
            try:
                hosts |= dict(framework_forms(framework, entry, charge))
            except SubstitutionError as error:
                part = f"heteroatoms[{number}]{f'{charge:+d}' if charge else ''}"
                yield _framework_row(origin, f"heteroatoms: {error}", part)
        for form, symbols in hosts.items():
            for guest, loading in pairs:
                if guest.charge_e * loading == charge:
                    yield _row(origin, form, symbols, guest, loading, candidates)


def enumerate_candidates(
    candidates: config.Candidates, outputs: list[Path], workers: int, campaign: str
) -> dict[str, int]:
    """Write the shards, each sorted by id. A framework is in one shard whole.

    Returns:
        How many candidates were accepted (key ``accepted``) and rejected, by reason.

    Raises:
        CampaignError: as :func:`check_candidates`, or no candidate is accepted (with the counts).
    """
    counts: Counter[str] = Counter()
    shards: list[list[dict]] = [[] for _ in outputs]
    for row in iterate_candidates(candidates, workers):
        counts[row["reject_reason"] or "accepted"] += 1
        shards[shard_of_framework(row["source"], len(outputs))].append(row)
    if not counts["accepted"]:
        raise CampaignError(_nothing_accepted(counts))
    for rows, output in zip(shards, outputs, strict=True):
        rows.sort(key=lambda row: row["candidate_id"])
        frame = pd.DataFrame(rows) if rows else tables.empty_table("candidates")
        # Structures are built from these files: their table is another one when a file is.
        read_from = contents(row["framework_file"] for row in rows if row.get("framework_file"))
        tables.write_table(frame, "candidates", output, campaign, read_from)
    return dict(sorted(counts.items()))


def _nothing_accepted(counts: Counter[str]) -> str:
    """How many were refused for which reasons, and what helps against those."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts.most_common(5))
    filters = "loosen candidates.filters"
    found = dict.fromkeys(ADVICE.get(r.partition(":")[0], filters) for r, _ in counts.most_common())
    return (
        f"candidates: none of {counts.total()} candidates is accepted ({reasons}); "
        f"{'; '.join(found) or 'widen candidates.source'}"
    )


def shard_of_framework(source: str, shards: int) -> int:
    """The shard of a framework's candidates: a hash of where it comes from."""
    return int(digest(["framework shard", source]), 16) % shards


def fingerprint(framework: str, molecule: Chem.Mol) -> bytes:
    """The guest's Morgan bits, then bits that stand for the framework: 256 bytes."""
    return morgan_fingerprint(molecule) + _framework_bits(framework)


@cache
def _framework_bits(framework: str) -> bytes:
    bits = np.zeros(BITS, np.uint8)
    rng = np.random.default_rng(int(digest(["framework bits", framework]), 16))
    bits[rng.choice(BITS, FRAMEWORK_BITS, replace=False)] = 1
    return np.packbits(bits).tobytes()


def _row(
    origin: FrameworkSource,
    arrangement: str,
    symbols: set[str],
    guest: ScreenedGuest,
    loading: int,
    candidates: config.Candidates,
) -> dict:
    identifier = Identifier(origin[0], arrangement, guest.smiles, loading)
    reason = guest.reason
    if reason is None and not symbols <= set(candidates.filters.elements):
        reason = "elements"
    row = {
        "candidate_id": candidate_id(str(identifier)),
        "identifier": str(identifier),
        "status": "accepted" if reason is None else "rejected",
        "reject_reason": reason,
        "source": _source_text(origin),
        "group": identifier.pair,
        "framework_file": origin[1],
        "min_cell_angstrom": candidates.source.min_cell_angstrom,
        **{key: value for key, value in guest.row.items() if key != "molecule"},
    }
    if reason is None:
        row["fingerprint"] = fingerprint(identifier.framework, guest.row["molecule"])
    return row


def _framework_row(origin: FrameworkSource, reason: str, part: str = PURE) -> dict:
    """A refused framework, or heteroatoms it cannot have: one row, whatever its guests would be."""
    identifier = f"{origin[0]}|{part}||0"
    return {
        "candidate_id": candidate_id(identifier),
        "identifier": identifier,
        "status": "rejected",
        "reject_reason": reason,
        "source": _source_text(origin),
    }


def _source_text(origin: FrameworkSource) -> str:
    return origin[1] or TYPED_IN
