"""The candidates of an OLED campaign: fragments joined in patterns, or a file; filtered, counted.

Why a candidate is rejected: see :mod:`molsieve.domains.oled.filters`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from molsieve.chem import molecule_files, pools
from molsieve.domains.oled import config
from molsieve.domains.oled.filters import Screen, compile_alerts
from molsieve.domains.oled.patterns import Parts
from molsieve.domains.oled.spool import write_shards
from molsieve.section import CampaignError

CHUNK = 500
RawCandidate = tuple[str, str]
"""SMILES as joined or read, and where it comes from (its pattern or the file's name)."""


def check_candidates(candidates: config.Candidates) -> None:
    """Look at everything a YAML author can get wrong, without enumerating.

    Raises:
        CampaignError: naming the key, its value and what is allowed.
    """
    compile_alerts(candidates.filters)
    source = candidates.source
    if isinstance(source, config.Fragments):
        Parts(source)
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
    if isinstance(source, config.Fragments):
        return Parts(source).count(), False
    records = _file_error_as_campaign_error(
        molecule_files.count_records, Path(source.path), source.format, source.smiles_column
    )
    return int(records), False


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

    In the order of the source: of duplicates the first is kept, whatever ``workers``. Identities
    are held in memory; :func:`enumerate_candidates` tells duplicates apart on disk.

    Raises:
        CampaignError: as :func:`check_candidates`.
    """
    seen: set[int] = set()
    for row in screened_candidates(candidates, workers):
        key = int(row["candidate_id"], 16)
        if key not in seen:
            seen.add(key)
            yield row


def screened_candidates(candidates: config.Candidates, workers: int = 1) -> Iterator[dict]:
    """As :func:`iterate_candidates`, duplicates not yet removed: streamed in constant memory."""
    check_candidates(candidates)
    chunks = _chunks(_raw_candidates(candidates))
    filters = candidates.filters.model_dump(mode="json")
    for rows in pools.ordered_map(_screen_chunk, chunks, workers, _start_worker, (filters,)):
        yield from rows


def enumerate_candidates(
    candidates: config.Candidates, outputs: list[Path], workers: int, campaign: str
) -> dict[str, int]:
    """Write the shards (hash of ``candidate_id`` modulo their number), each sorted by id.

    Returns:
        How many candidates were accepted (key ``accepted``) and rejected, by reason.

    Raises:
        CampaignError: as :func:`check_candidates`, or no candidate is accepted (with the counts).
    """
    counts = write_shards(screened_candidates(candidates, workers), outputs, campaign)
    if not counts["accepted"]:
        raise CampaignError(_nothing_accepted(counts))
    return dict(sorted(counts.items()))


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
    if isinstance(source, config.Fragments):
        yield from Parts(source).products()
        return
    path = Path(source.path)
    texts = molecule_files.read_smiles(path, source.format, source.smiles_column)
    try:
        yield from ((text, path.name) for text in texts)
    except molecule_files.MoleculeFileError as error:
        raise CampaignError(f"candidates.source.path: {error}") from error


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
