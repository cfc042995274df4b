"""The candidates of a zeolite campaign: frameworks x heteroatoms x guests x loadings.

A rejected candidate carries the first reason that applies:

========================  ======================================================================
``framework: <reason>``   its file is refused by :mod:`molsieve.crystals.soundness`
``t_sites``               more T sites a cell than ``filters.max_t_sites``
``heteroatoms: <reason>`` its cell cannot have an entry of ``source.heteroatoms``; one row
``guest: <reason>``       not one closed-shell molecule, or a charge without neutral analogue
``charge``                a charged guest with ``charged_guests: refuse``
``elements``              an element outside ``filters.elements``
``heavy_atoms``           of the guest, outside ``filters.min_heavy_atoms`` … ``max_heavy_atoms``
``sa_score``              a guest harder to make than ``filters.max_sa_score``
========================  ======================================================================
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from rdkit import Chem

from molsieve import tables
from molsieve.chem import molecule_files
from molsieve.chem.fingerprints import BITS, morgan_fingerprint
from molsieve.chem.identities import candidate_id
from molsieve.chem.molecules import MoleculeError, parse_molecule
from molsieve.crystals.arrangement import Arrangement
from molsieve.crystals.compensation import Compensation, iterate_compensations
from molsieve.crystals.framework import Framework
from molsieve.crystals.ion_geometry import CATION_CHARGE_E
from molsieve.crystals.substitution import (
    atoms_per_cell,
    count_without_rule,
    iterate_arrangements,
    random_arrangements,
)
from molsieve.crystals.tetrahedra import (
    LOWENSTEIN,
    NO_RULE,
    OXIDATION_STATE,
    SubstitutionError,
)
from molsieve.domains.zeolite import config
from molsieve.domains.zeolite.frameworks import (
    FrameworkSource,
    framework_sources,
    sound_frameworks,
)
from molsieve.domains.zeolite.guests import ScreenedGuest, screened_guests
from molsieve.domains.zeolite.identifiers import SEPARATOR, Identifier
from molsieve.section import CampaignError, digest

FRAMEWORK_BITS = 24
"""Bits that a framework sets, about as many as a small guest: they weigh alike in distances."""
OPEN_SHELLS = ("Fe", "Cr", "Co", "Mn", "Ni", "Cu")
"""Tetrahedral atoms with unpaired electrons in their oxidation state there."""
LISTED_ARRANGEMENTS = 20_000
"""Of compositions with more arrangements (counted without Löwenstein's rule) some are drawn."""


def check_candidates(candidates: config.Candidates) -> None:
    """Look at everything a YAML author can get wrong, without enumerating.

    Raises:
        CampaignError: naming the key, its value and what is allowed.
    """
    source = candidates.source
    if source.guest_file is not None:
        _check_guest_file(source)
    for index, smiles in enumerate(source.guests):
        try:
            parse_molecule(smiles)
        except MoleculeError as error:
            raise CampaignError(
                f"candidates.source.guests[{index}]: {smiles!r}: {error}. Allowed: SMILES of one "
                "closed-shell molecule, e.g. 'CN(C)C'"
            ) from error
    if source.folder is not None:
        _check_folder(source.folder, source.frameworks, "candidates.source")
    _check_heteroatoms(candidates)


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
    return int(config.raw_candidates(pure)), not any(
        h.counts or h.si_ratios for h in source.heteroatoms
    )


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
        hosts: dict[str, set[str]] = {}
        for number, entry in enumerate(source.heteroatoms or [config.Heteroatoms()]):
            try:
                hosts |= dict(_arrangements(framework, entry))
            except SubstitutionError as error:
                yield _framework_row(origin, f"heteroatoms: {error}", f"heteroatoms[{number}]")
        for arrangement, symbols in hosts.items():
            for guest, loading in itertools.product(guests, source.loadings):
                yield _row(origin, arrangement, symbols, guest, loading, candidates)


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
        reasons = ", ".join(f"{reason} {count}" for reason, count in counts.most_common(5))
        raise CampaignError(
            f"candidates: none of {counts.total()} candidates is accepted ({reasons}); loosen "
            "candidates.filters or widen candidates.source"
        )
    for rows, output in zip(shards, outputs, strict=True):
        rows.sort(key=lambda row: row["candidate_id"])
        frame = pd.DataFrame(rows) if rows else tables.empty_table("candidates")
        tables.write_table(frame, "candidates", output, campaign)
    return dict(sorted(counts.items()))


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


def _framework_row(origin: FrameworkSource, reason: str, part: str = "pure") -> dict:
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


TYPED_IN = "typed in"
"""``source`` of candidates whose framework is read from no file."""


def _arrangements(
    framework: Framework, entry: config.Heteroatoms
) -> Iterator[tuple[str, set[str]]]:
    """Identifiers of compensated arrangements, and the elements of each; a framework's own seed.

    Raises:
        SubstitutionError: heteroatoms that the cell cannot have, or that nothing can balance.
    """
    own = set(framework.atoms.get_chemical_symbols())
    counts = dict(entry.counts)
    if entry.si_ratios:
        counts = atoms_per_cell(len(framework.t_index), entry.si_ratios)
    if not any(counts.values()):
        yield "pure", own
        return
    present = own | {element for element, count in counts.items() if count}
    found = _drawn_arrangements(framework, counts, entry)
    refusals = [f"{framework.name} has no arrangement of {counts} within the rule"]
    forms = _in_turn(framework, found, entry.ion, refusals)
    first = next(forms, None)
    if first is None:
        raise SubstitutionError(refusals[-1])
    for form in itertools.islice(itertools.chain([first], forms), entry.most):
        yield form.id, present | ({entry.ion} if "+" in form.id else set())


def _drawn_arrangements(
    framework: Framework, counts: dict[str, int], entry: config.Heteroatoms
) -> list[Arrangement]:
    """Arrangements in the order they are wanted: all, or where they are too many a random draw."""
    rule = LOWENSTEIN if entry.loewenstein else NO_RULE
    rng = np.random.default_rng(int(digest(["arrangements", framework.name, counts]), 16))
    if count_without_rule(framework, counts) > LISTED_ARRANGEMENTS:
        return random_arrangements(framework, counts, entry.most, rng, rule)
    found = list(iterate_arrangements(framework, counts, rule))
    if len(found) > entry.most:
        return [found[place] for place in rng.permutation(len(found))]
    return found


def _in_turn(
    framework: Framework, found: Iterable[Arrangement], ion: str, refusals: list[str]
) -> Iterator[Compensation]:
    """The first form of each arrangement, then the second of each: none takes another's place.

    Args:
        refusals: gets why an arrangement has no form; others may have one.
    """
    waiting: Iterable[Iterator[Compensation]]
    waiting = (iterate_compensations(framework, arrangement, ion) for arrangement in found)
    while waiting:
        going = []
        for forms in waiting:
            try:
                form = next(forms)
            except StopIteration:
                continue
            except SubstitutionError as error:
                refusals.append(str(error))
                continue
            going.append(forms)
            yield form
        waiting = going


def _check_guest_file(source: config.Source) -> None:
    try:
        molecule_files.check_file(Path(str(source.guest_file)), None, source.smiles_column)
    except molecule_files.MoleculeFileError as error:
        raise CampaignError(f"candidates.source.guest_file: {error}") from error


def _check_folder(folder: str, codes: Sequence[str] | None, key: str) -> None:
    if not Path(folder).is_dir():
        raise CampaignError(
            f"{key}.folder: {folder!r} is no folder; allowed: a folder of CIF files, relative to "
            "the folder the campaign is started in, or null for the typed-in frameworks"
        )
    names = Counter(path.stem for path in config.cif_paths(folder, None))
    if not names:
        raise CampaignError(f"{key}.folder: {folder!r} holds no .cif file")
    if wrong := sorted(n for n, times in names.items() if times > 1 or SEPARATOR in n):
        raise CampaignError(
            f"{key}.folder: the names of files in {folder!r} are frameworks' codes, each once and "
            f"without {SEPARATOR!r}; rename {', '.join(wrong[:5])}"
        )
    if missing := sorted(set(codes or ()) - set(names)):
        raise CampaignError(
            f"{key}.frameworks: no {', '.join(f'{code}.cif' for code in missing[:5])} in {folder!r}"
        )


def _check_heteroatoms(candidates: config.Candidates) -> None:
    """Elements of arrangements are known, and let through by the filters."""
    allowed = candidates.filters.elements
    for index, entry in enumerate(candidates.source.heteroatoms):
        key = f"candidates.source.heteroatoms[{index}]"
        if entry.ion not in CATION_CHARGE_E:
            raise CampaignError(
                f"{key}.ion: {entry.ion!r} given; allowed: {', '.join(sorted(CATION_CHARGE_E))}"
            )
        for element in {**entry.counts, **entry.si_ratios}:
            if element not in OXIDATION_STATE:
                raise CampaignError(
                    f"{key}: {element!r} takes no T site here; allowed: "
                    f"{', '.join(sorted(OXIDATION_STATE))}"
                )
            if element in OPEN_SHELLS:
                raise CampaignError(
                    f"{key}: {element} has unpaired electrons, and structures are closed shells "
                    f"here; allowed: {', '.join(sorted(set(OXIDATION_STATE) - set(OPEN_SHELLS)))}"
                )
            if element not in allowed:
                raise CampaignError(
                    f"{key}: {element} is not among candidates.filters.elements "
                    f"({', '.join(allowed)}), so every candidate would be refused; add it"
                )
