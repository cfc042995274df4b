"""SMILES out of the files chemists keep molecules in, streamed."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rdkit import Chem, rdBase

FORMAT_OF_ENDING = {
    ".smi": "smiles",
    ".smiles": "smiles",
    ".txt": "smiles",
    ".csv": "csv",
    ".sdf": "sdf",
    ".parquet": "parquet",
}


class MoleculeFileError(ValueError):
    """A file that is missing, of unknown format, unreadable, or without the column asked for."""


def file_format(path: Path, given: str | None) -> str:
    """``given``, or the format that the file's ending says.

    Raises:
        MoleculeFileError: the ending is unknown.
    """
    found = given or FORMAT_OF_ENDING.get(path.suffix.lower())
    if found is None:
        endings = ", ".join(FORMAT_OF_ENDING)
        raise MoleculeFileError(f"{path}: format unknown; known endings: {endings}")
    return found


def check_file(path: Path, given_format: str | None, column: str) -> None:
    """Look at the file's head.

    Raises:
        MoleculeFileError: naming the file and, for a missing column, the columns found.
    """
    kind = file_format(path, given_format)
    if not path.is_file():
        raise MoleculeFileError(f"{path}: no such file")
    if kind not in ("csv", "parquet"):
        return
    try:
        columns = _parquet_columns(path) if kind == "parquet" else _csv_columns(path)
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
        raise MoleculeFileError(f"{path}: not a readable {kind} file: {error}") from error
    if column not in columns:
        raise MoleculeFileError(
            f"{path}: no column {column!r}; columns found: {', '.join(columns) or 'none'}"
        )


def read_smiles(path: Path, given_format: str | None, column: str) -> Iterator[str]:
    """One text a record, in the file's order.

    A record without a molecule is named in angle brackets (no SMILES has them): nothing vanishes.

    Raises:
        MoleculeFileError: as :func:`check_file`.
    """
    check_file(path, given_format, column)
    reader = {"smiles": _smiles, "csv": _csv, "sdf": _sdf, "parquet": _parquet}
    texts = reader[file_format(path, given_format)](path, column)
    for record, text in enumerate(texts, start=1):
        yield text or f"<{path.name}: record {record} holds no molecule>"


def count_records(path: Path, given_format: str | None, column: str) -> int:
    """Number of records, without reading a molecule.

    Raises:
        MoleculeFileError: as :func:`check_file`.
    """
    check_file(path, given_format, column)
    kind = file_format(path, given_format)
    if kind == "parquet":
        return int(pq.ParquetFile(path).metadata.num_rows)
    if kind == "sdf":
        with path.open(errors="replace") as lines:
            return sum(line.startswith("$$$$") for line in lines)
    return sum(1 for _ in (_smiles if kind == "smiles" else _csv)(path, column))


def _smiles(path: Path, _: str) -> Iterator[str]:
    """First word of each line; blank lines and comments (#) are not records."""
    with path.open(errors="replace") as lines:
        for line in lines:
            words = line.split()
            if words and not words[0].startswith("#"):
                yield words[0]


def _csv(path: Path, column: str) -> Iterator[str]:
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as lines:
        rows = csv.DictReader(lines)
        while True:
            try:
                row = next(rows, None)
            except csv.Error:  # a field beyond csv's size limit: one broken record, not the file
                yield ""
                continue
            if row is None:
                return
            yield (row[column] or "").strip()


def _parquet(path: Path, column: str) -> Iterator[str]:
    for batch in pq.ParquetFile(path).iter_batches(columns=[column]):
        for value in batch.column(0).to_pylist():
            yield "" if value is None else str(value).strip()


def _sdf(path: Path, _: str) -> Iterator[str]:
    # Record by record: RDKit's own supplier loses its place, and so records, after a broken one.
    record: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in itertools.chain(stream, ["$$$$"]):
            if not line.startswith("$$$$"):
                record.append(line)
                continue
            if "".join(record).strip():
                with rdBase.BlockLogs():
                    molecule = Chem.MolFromMolBlock("".join(record))
                yield "" if molecule is None else Chem.MolToSmiles(molecule)
            record = []


def _csv_columns(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8-sig") as lines:
        return list(csv.DictReader(lines).fieldnames or [])


def _parquet_columns(path: Path) -> list[str]:
    return list(pq.read_schema(path).names)
