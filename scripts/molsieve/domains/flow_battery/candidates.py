"""The candidates of a flow-battery campaign: quinones, enumerated or read, filtered and counted.

Why a candidate is rejected: see :mod:`molsieve.domains.flow_battery.filters`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from molsieve import tables
from molsieve.chem import enumeration, molecule_files, pools
from molsieve.chem.molecules import parse_molecule
from molsieve.chem.quinones import is_quinone
from molsieve.domains.flow_battery import config
from molsieve.domains.flow_battery.filters import Screen, compile_alerts
from molsieve.section import CampaignError

CHUNK = 500
RawCandidate = tuple[str, str]
"""SMILES as assembled or read, and where it comes from (scaffold's name or file's name)."""


def check_candidates(candidates: config.Candidates) -> None:
    """Look at everything a YAML author can get wrong, without enumerating.

    Raises:
        CampaignError: naming the key, its value and what is allowed.
    """
    compile_alerts(candidates.filters)
    source = candidates.source
    if isinstance(source, config.Enumerated):
        _templates(source)
        _substituents(source)
        return
    _file_error_as_campaign_error(
        molecule_files.check_file, Path(source.path), source.format, source.smiles_column
    )


def count_candidates(candidates: config.Candidates) -> tuple[int, bool]:
    """(upper bound, whether exact): raw products or records, before duplicates and filters.

    Raises:
        CampaignError: as :func:`check_candidates`.
    """
    source = candidates.source
    if isinstance(source, config.FromFile):
        records = _file_error_as_campaign_error(
            molecule_files.count_records, Path(source.path), source.format, source.smiles_column
        )
        return int(records), False
    substituents = len(_substituents(source))
    total = sum(
        enumeration.count_products(template, substituents, source.max_substitutions)
        for template in _templates(source).values()
    )
    return total, False


def first_accepted(candidates: config.Candidates, tries: int = 2000) -> bool | None:
    """Whether one of the first ``tries`` raw candidates passes; None if none did and more follow.

    Raises:
        CampaignError: as :func:`check_candidates`.
    """
    screen = Screen(candidates.filters)
    raw = iter(_raw_candidates(candidates))
    for text, source in itertools.islice(raw, tries):
        if screen.row(text, source)["status"] == "accepted":
            return True
    return False if next(raw, None) is None else None


def iterate_candidates(candidates: config.Candidates, workers: int = 1) -> Iterator[dict]:
    """Rows of the ``candidates`` table, accepted and rejected, each canonical identity once.

    Streamed in the order of the source: of duplicates the first is kept, whatever ``workers``.

    Raises:
        CampaignError: as :func:`check_candidates`.
    """
    check_candidates(candidates)
    seen: set[int] = set()
    chunks = _chunks(_raw_candidates(candidates))
    filters = candidates.filters.model_dump(mode="json")
    for rows in pools.ordered_map(_screen_chunk, chunks, workers, _start_worker, (filters,)):
        for row in rows:
            key = int(row["candidate_id"], 16)
            if key not in seen:
                seen.add(key)
                yield row


def enumerate_candidates(
    candidates: config.Candidates, outputs: list[Path], workers: int, campaign: str
) -> dict[str, int]:
    """Write the shards (hash of ``candidate_id`` modulo their number), each sorted by id.

    Returns:
        How many candidates were accepted (key ``accepted``) and rejected, by reason.

    Raises:
        CampaignError: as :func:`check_candidates`, or no candidate is accepted (with the counts).
    """
    counts: Counter[str] = Counter()
    parts: list[list[pa.Table]] = [[] for _ in outputs]
    pending: list[list[dict]] = [[] for _ in outputs]

    def pack(shard: int) -> None:
        # Arrow holds a row in about 300 bytes, a dict of Python objects in some 2,000.
        parts[shard].append(tables.to_arrow(pd.DataFrame(pending[shard]), "candidates"))
        pending[shard].clear()

    for row in iterate_candidates(candidates, workers):
        counts[row["reject_reason"] or "accepted"] += 1
        shard = shard_of_candidate(row["candidate_id"], len(outputs))
        pending[shard].append(row)
        if len(pending[shard]) >= 10 * CHUNK:
            pack(shard)
    if not counts["accepted"]:
        raise CampaignError(_nothing_accepted(counts))
    for shard, output in enumerate(outputs):
        pack(shard)
        table = pa.concat_tables(parts[shard]).sort_by("candidate_id")
        tables.write_table(tables.to_frame(table), "candidates", output, campaign)
        parts[shard].clear()
    return dict(sorted(counts.items()))


def shard_of_candidate(identity: str, shards: int) -> int:
    """The shard of a ``candidate_id``: its own hash modulo the number of shards."""
    return int(identity, 16) % shards


_screen: Screen | None = None


def _start_worker(filters: dict) -> None:
    global _screen
    _screen = Screen(config.Filters.model_validate(filters))


def _screen_chunk(chunk: list[RawCandidate]) -> list[dict]:
    assert _screen is not None, "the pool runs _start_worker first"
    return [_screen.row(text, source) for text, source in chunk]


def _chunks(raw: Iterable[RawCandidate]) -> Iterator[list[RawCandidate]]:
    iterator = iter(raw)
    while chunk := list(itertools.islice(iterator, CHUNK)):
        yield chunk


def _raw_candidates(candidates: config.Candidates) -> Iterator[RawCandidate]:
    source = candidates.source
    if isinstance(source, config.FromFile):
        path = Path(source.path)
        texts = molecule_files.read_smiles(path, source.format, source.smiles_column)
        try:
            yield from ((text, path.name) for text in texts)
        except molecule_files.MoleculeFileError as error:
            raise CampaignError(f"candidates.source.path: {error}") from error
        return
    substituents = _substituents(source)
    for name, template in _templates(source).items():
        texts = enumeration.products(template, substituents, source.max_substitutions)
        yield from ((text, name) for text in texts)


def _templates(source: config.Enumerated) -> dict[str, enumeration.ScaffoldTemplate]:
    templates: dict[str, enumeration.ScaffoldTemplate] = {}
    for index, scaffold in enumerate(source.scaffolds):
        key = f"candidates.source.scaffolds[{index}]"
        try:
            template = enumeration.scaffold_template(scaffold.smiles)
            bare = next(enumeration.products(template, [], 0))
            molecule = parse_molecule(bare)
        except ValueError as error:
            raise CampaignError(
                f"{key}.smiles: {scaffold.smiles!r}: {error}. "
                "Allowed: one quinone with attachment points, e.g. 'O=C1C([*:1])=CC(=O)C=C1'"
            ) from error
        if not is_quinone(molecule):
            raise CampaignError(
                f"{key}.smiles: {scaffold.smiles!r} is not a quinone: it has no pair of conjugated "
                "ring C=O that two electrons and two protons turn into an aromatic diol"
            )
        templates[scaffold.name] = template
    return templates


def _substituents(source: config.Enumerated) -> list[str]:
    texts = []
    for index, smiles in enumerate(source.substituents):
        try:
            texts.append(enumeration.substituent_text(smiles))
        except ValueError as error:
            raise CampaignError(
                f"candidates.source.substituents[{index}]: {smiles!r}: {error}. "
                "Allowed: SMILES with one '*', e.g. '*OC'"
            ) from error
    return texts


def _file_error_as_campaign_error(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except molecule_files.MoleculeFileError as error:
        raise CampaignError(f"candidates.source.path: {error}") from error


def _nothing_accepted(counts: Counter[str]) -> str:
    total = sum(counts.values())
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts.most_common() if count)
    return (
        f"candidates: none of {total} candidates is accepted ({reasons or 'the source is empty'}); "
        "loosen candidates.filters or widen candidates.source"
    )
