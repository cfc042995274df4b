"""Every Parquet contract, and the one way to write and to read a table.

Units are eV, Å, e and V; vectors of atoms are stored flat, row-major: ``positions_angstrom`` of N
atoms holds 3 N numbers. All tables open with plain ``pandas.read_parquet``.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from molsieve import __version__
from molsieve.jobs.attempts import Superseded, check_publication

SCHEMA_VERSION = 1
ROW_GROUP_ROWS = 20_000

_text, _float, _int, _bool = pa.string(), pa.float64(), pa.int64(), pa.bool_()
_floats, _ints = pa.list_(_float), pa.list_(_int)


class TableError(ValueError):
    """A table that does not keep its contract: which table, which column, what is wrong."""


def _schema(required: Mapping[str, pa.DataType], nullable: Mapping[str, pa.DataType]) -> pa.Schema:
    fields = [pa.field(name, kind, nullable=False) for name, kind in required.items()]
    fields += [pa.field(name, kind, nullable=True) for name, kind in nullable.items()]
    return pa.schema(fields)


PER_OBJECTIVE = (
    "mean",
    "std",
    "label_value",
    "confirmed_value",
    "model_error",
    "geometry_error",
    "level_error",
)
"""Of each objective of a domain with several: what ``ranking`` says of the one of others."""
SEVERAL_OBJECTIVES = ("singlet_triplet_gap", "singlet_energy", "oscillator_strength")
SEVERAL_COLUMNS = (
    "hypervolume_contribution",
    "radiative_rate_per_s",
    "reverse_crossing_rate_per_s",
    "absorption_nm",
    "emission_nm",
    "cie_x",
    "cie_y",
    *(f"{name}_{figure}" for name in SEVERAL_OBJECTIVES for figure in PER_OBJECTIVE),
)
"""Columns of ``ranking`` with several objectives, each in its objective's unit."""

PROPERTY_COLUMNS = {
    f"{name}{part}{unit}": _floats if part[1:4] in ("int", "mem") else _float
    for name, unit in (
        ("singlet_energy", "_ev"),
        ("triplet_energy", "_ev"),
        ("singlet_triplet_gap", "_ev"),
        ("oscillator_strength", ""),
    )
    for part in ("", "_std", "_std_raw", "_interval_68", "_interval_95", "_members")
}
"""Of ``property_predictions``: what property heads tell of a structure."""

SCHEMAS: dict[str, pa.Schema] = {
    # A molecule or material that might be made; status accepted or rejected.
    "candidates": _schema(
        {
            "candidate_id": _text,
            "identifier": _text,
            "status": _text,
            "source": _text,
        },
        {
            "reject_reason": _text,
            "group": _text,
            "heavy_atoms": _int,
            "mass_dalton": _float,
            "charge_e": _int,
            "log_solubility": _float,
            "sa_score": _float,
            "synthesizability": _float,
            "fingerprint": pa.binary(),
            "framework_file": _text,
            "min_cell_angstrom": _float,
        },
    ),
    # A chemical state that a candidate needs; candidate_id is null for shared references.
    "species": _schema(
        {
            "species_id": _text,
            "role": _text,
            "identifier": _text,
            "charge_e": _int,
            "multiplicity": _int,
            "status": _text,
        },
        {
            "candidate_id": _text,
            "couple": _text,
            "force_field": _text,
            "error_kind": _text,
            "error_message": _text,
        },
    ),
    # One geometry of a species.
    "structures": _schema(
        {
            "structure_id": _text,
            "species_id": _text,
            "conformer": _int,
            "geometry_protocol_id": _text,
            "numbers": _ints,
            "positions_angstrom": _floats,
            "cell_angstrom": _floats,
            "pbc": pa.list_(_bool),
            "charge_e": _int,
            "multiplicity": _int,
            "origin": _text,
        },
        {"parent_structure_id": _text, "candidate_id": _text, "role": _text},
    ),
    # One attempt to compute one structure at one level, successful or not.
    "labels": _schema(
        {
            "structure_id": _text,
            "level_id": _text,
            "attempt_id": _text,
            "status": _text,
            "recovery_step": _int,
            "engine": _text,
            "engine_version": _text,
            "wall_s": _float,
            "cores": _int,
        },
        {
            "error_kind": _text,
            "error_message": _text,
            "energy_ev": _float,
            "forces_ev_per_angstrom": _floats,
            "stress_ev_per_angstrom3": _floats,
            "dipole_e_angstrom": _floats,
            "dispersion_energy_ev": _float,
            "homo_ev": _float,
            "lumo_ev": _float,
            "spin_square": _float,
            "singlet_energies_ev": _floats,
            "triplet_energies_ev": _floats,
            "oscillator_strengths": _floats,
            "root_converged": pa.list_(_bool),
            "final_positions_angstrom": _floats,
            "valence_electrons": _int,
            "transition_dipoles_e_angstrom": _floats,
            "orbital_overlaps": _floats,
            "hole_electron_distances_angstrom": _floats,
            "electron_spreads_angstrom": _floats,
            "electron_widths_angstrom": _floats,
            "excitation_flags": pa.list_(_text),
        },
    ),
    # What trained, calibrated and tested a round; frozen at the quorum.
    "dataset": _schema(
        {
            "round": _int,
            "structure_id": _text,
            "level_id": _text,
            "species_id": _text,
            "split": _text,
            "group": _text,
            "why": _text,
        },
        {"candidate_id": _text},
    ),
    # The committee's word on one objective of one candidate in one round.
    "predictions": _schema(
        {
            "round": _int,
            "candidate_id": _text,
            "objective": _text,
            "unit": _text,
            "level_id": _text,
            "status": _text,
            "in_domain": _bool,
        },
        {
            "mean": _float,
            "std_raw": _float,
            "std": _float,
            "interval_68": _floats,
            "interval_95": _floats,
            "members": _floats,
            "reason": _text,
        },
    ),
    # The committee's word beside the label, of one labelled couple (any split) in one round.
    "parity": _schema(
        {
            "round": _int,
            "candidate_id": _text,
            "objective": _text,
            "unit": _text,
            "level_id": _text,
            "split": _text,
        },
        {
            "label_value": _float,
            "mean": _float,
            "std_raw": _float,
            "std": _float,
            "interval_68": _floats,
            "interval_95": _floats,
            "members": _floats,
        },
    ),
    # One structure chosen for labelling.
    "selection": _schema(
        {
            "round": _int,
            "structure_id": _text,
            "species_id": _text,
            "reason": _text,
            "group": _text,
        },
        {
            "candidate_id": _text,
            "score": _float,
            "predicted_cost_s": _float,
            "split": _text,
            "geometry": _text,
        },
    ),
    # One figure of one round.
    "metrics": _schema(
        {"round": _int, "split": _text, "name": _text, "unit": _text, "n": _int},
        {"value": _float, "interval": _floats, "objective": _text},
    ),
    # One candidate in the answer.
    "ranking": _schema(
        {
            "rank": _int,
            "round": _int,
            "candidate_id": _text,
            "identifier": _text,
            "objective": _text,
            "unit": _text,
            "flags": pa.list_(_text),
        },
        {
            "mean": _float,
            "std": _float,
            "interval_95": _floats,
            "utility": _float,
            "label_value": _float,
            "confirmed_value": _float,
            "confirmed_protocol": _text,
            "model_error": _float,
            "geometry_error": _float,
            "level_error": _float,
            "why_confirmed": _text,
            "pareto_front": _int,
            "log_solubility": _float,
            "synthesizability": _float,
            "sa_score": _float,
            "in_domain": _bool,
            "framework_ev_per_t": _float,
            "binding_ev_per_t": _float,
            "competition_ev_per_t": _float,
            "competition_std_ev_per_t": _float,
            "directivity_ev_per_t": _float,
            "directivity_std_ev_per_t": _float,
            "templating_ev": _float,
            "templating_std_ev": _float,
            "t_sites_per_guest": _float,
            **dict.fromkeys(SEVERAL_COLUMNS, _float),
        },
    ),
    # The committee's word on one structure given to `molsieve predict`, in the order given; spreads
    # are calibrated where the committee's are, *_raw over the members. Failed: no numbers.
    "structure_predictions": _schema(
        {
            "index": _int,
            "status": _text,
            "in_domain": _bool,
            "charge_e": _int,
            "multiplicity": _int,
        },
        {
            "name": _text,
            "formula": _text,
            "reason": _text,
            "energy_ev": _float,
            "energy_std_ev": _float,
            "energy_std_raw_ev": _float,
            "energy_interval_68_ev": _floats,
            "energy_interval_95_ev": _floats,
            "energy_members_ev": _floats,
            "force_max_ev_per_angstrom": _float,
            "force_std_max_ev_per_angstrom": _float,
            "forces_ev_per_angstrom": _floats,
            "forces_std_ev_per_angstrom": _floats,
            "stress_ev_per_angstrom3": _floats,
            "stress_std_ev_per_angstrom3": _floats,
            "relaxation_steps": _int,
            "numbers": _ints,
            "positions_angstrom": _floats,
            "cell_angstrom": _floats,
            "pbc": pa.list_(_bool),
        },
    ),
    # What a label job hands in: every structure it was given and how it ended.
    "receipt": _schema(
        {"structure_id": _text, "level_id": _text, "attempt_id": _text, "status": _text},
        {"error_kind": _text, "error_message": _text},
    ),
    # A level's fit to measurements: one measured system.
    "references": _schema(
        {"level_id": _text, "name": _text, "identifier": _text, "unit": _text, "source": _text},
        {
            "measured": _float,
            "computed": _float,
            "fitted": _float,
            "left_out": _float,
            "used": _bool,
            "grade": _text,
        },
    ),
}

# ``structure_predictions`` of a committee that has property heads.
SCHEMAS["property_predictions"] = pa.schema(
    [*SCHEMAS["structure_predictions"], *(pa.field(*column) for column in PROPERTY_COLUMNS.items())]
)

LATER_COLUMNS = {
    "candidates": ("framework_file", "min_cell_angstrom"),
    "metrics": ("objective",),
    "labels": (
        "transition_dipoles_e_angstrom",
        "orbital_overlaps",
        "hole_electron_distances_angstrom",
        "electron_spreads_angstrom",
        "electron_widths_angstrom",
        "excitation_flags",
    ),
    "ranking": (
        "framework_ev_per_t",
        "binding_ev_per_t",
        "competition_ev_per_t",
        "competition_std_ev_per_t",
        "directivity_ev_per_t",
        "directivity_std_ev_per_t",
        "templating_ev",
        "templating_std_ev",
        "t_sites_per_guest",
        *SEVERAL_COLUMNS,
    ),
}
"""Younger than the first tables of this schema version: null in files that lack them."""
FORMER_COLUMNS = {"ranking": ("templating_ev_per_t", "templating_std_ev_per_t")}
"""Written for a while in this schema version: passed over in files that have them."""
# A structure that a source of distorted geometries offers to be labelled, most wanted first; the
# score is the source's own; rebonded: it has other bonds than the structure it was made from.
SCHEMAS["geometries"] = pa.schema(
    [
        *SCHEMAS["structures"],
        pa.field("source", _text, nullable=False),
        pa.field("score", _float),
        pa.field("rebonded", _bool),
    ]
)


def empty_table(name: str) -> pd.DataFrame:
    """A table of that contract with no rows (legal everywhere)."""
    return to_frame(SCHEMAS[name].empty_table())


def write_table(
    rows: pd.DataFrame | Iterable[Mapping[str, Any]],
    name: str,
    path: str | Path,
    campaign: str = "",
    read_from: str | None = None,
) -> None:
    """Validate against the contract and write by temporary name, fsync and rename.

    ``rows`` may lack nullable columns (they become null) and may not have unknown ones.
    ``read_from``, a digest of files that rows only name, is in the file, so that its content
    differs where theirs does.

    Raises:
        TableError: unknown or missing column, wrong type, null in a required column.
    """
    schema = SCHEMAS[name]
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    table = to_arrow(frame, name)
    table = table.cast(schema).replace_schema_metadata(
        {**(table.schema.metadata or {}), **file_metadata(name, campaign, read_from)}
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=ROW_GROUP_ROWS)


def file_metadata(name: str, campaign: str, read_from: str | None = None) -> dict[str, str]:
    """What a file of table ``name`` says of itself."""
    metadata = {
        "table": name,
        "schema_version": str(SCHEMA_VERSION),
        "campaign": campaign,
        "software": json.dumps({"molsieve": __version__, "pyarrow": pa.__version__}),
    }
    if read_from is not None:
        metadata["read_from"] = read_from
    return {f"molsieve.{key}": value for key, value in metadata.items()}


def to_arrow(frame: pd.DataFrame, name: str) -> pa.Table:
    """``frame`` as an Arrow table of the contract's columns, in its order.

    Raises:
        TableError: as :func:`write_table`.
    """
    schema = SCHEMAS[name]
    unknown = [c for c in frame.columns if c not in schema.names]
    if unknown:
        raise TableError(f"table {name!r}: unknown column {unknown[0]!r}; known: {schema.names}")
    arrays = []
    for field in schema:
        if field.name not in frame.columns:
            if not field.nullable and len(frame):
                raise TableError(f"table {name!r}: column {field.name!r} is missing")
            arrays.append(pa.nulls(len(frame), field.type))
            continue
        try:
            array = pa.Array.from_pandas(frame[field.name], type=field.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise TableError(
                f"table {name!r}: column {field.name!r} is not {field.type}: {error}"
            ) from error
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if not field.nullable and array.null_count:
            raise TableError(f"table {name!r}: column {field.name!r} holds nulls")
        arrays.append(array)
    return pa.table(arrays, schema=schema)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as pandas; nullable integers and booleans keep their type."""
    mapping = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    nullable = {f.name for f in table.schema if f.nullable}
    frame = table.to_pandas()
    for name in nullable:
        dtype = mapping.get(table.schema.field(name).type)
        if dtype is not None:
            frame[name] = table.column(name).to_pandas(types_mapper=mapping.get)
    return frame


def read_table(
    path: str | Path | Iterable[str | Path], name: str, columns: list[str] | None = None
) -> pd.DataFrame:
    """Read one file or several of a contract, checked.

    Raises:
        TableError: another table, another schema version, or columns that do not fit.
    """
    if not isinstance(path, str | Path):
        frames = [read_table(p, name, columns) for p in path]
        if not frames:
            return empty_table(name)[columns] if columns else empty_table(name)
        filled = [f for f in frames if len(f)] or frames[:1]
        return pd.concat(filled, ignore_index=True)
    check_contract(path, name)
    lacking = set(LATER_COLUMNS.get(name, ())) - set(pq.read_schema(path).names)
    if not lacking:
        return to_frame(pq.read_table(path, columns=columns))
    there = columns and [column for column in columns if column not in lacking]
    return to_frame(with_later_columns(pq.read_table(path, columns=there), name, columns))


def with_later_columns(table: pa.Table, name: str, columns: list[str] | None = None) -> pa.Table:
    """Rows of a file of table ``name``, null in ``LATER_COLUMNS`` that the file lacks."""
    for column in LATER_COLUMNS.get(name, ()):
        if column not in table.column_names and (columns is None or column in columns):
            field = SCHEMAS[name].field(column)
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(columns or SCHEMAS[name].names)


def check_contract(path: str | Path, name: str) -> None:
    """Whether a file holds table ``name`` as this Molsieve knows it.

    Raises:
        TableError: as :func:`read_table`.
    """
    try:
        schema = pq.read_schema(path)
    except pa.ArrowInvalid as error:
        raise TableError(f"{path} is not a complete Parquet file: {error}") from error
    found = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
    if found.get("molsieve.table") != name:
        raise TableError(
            f"{path} holds table {found.get('molsieve.table', 'none of ours')!r}, not {name!r}"
        )
    if found.get("molsieve.schema_version") != str(SCHEMA_VERSION):
        raise TableError(
            f"{path} has schema version {found.get('molsieve.schema_version')}, "
            f"this Molsieve reads {SCHEMA_VERSION}"
        )
    former = FORMER_COLUMNS.get(name, ())
    schema = pa.schema([field for field in schema if field.name not in former])
    later = set(LATER_COLUMNS.get(name, ())) - set(schema.names)
    contract = pa.schema([field for field in SCHEMAS[name] if field.name not in later])
    if schema.names != contract.names or schema.types != contract.types:
        raise TableError(f"{path}: columns do not fit the contract of table {name!r}")


class atomic_path:
    """A temporary name beside ``path``: renamed onto it on success, removed on failure."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.temporary = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.part")

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.temporary

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.temporary.unlink(missing_ok=True)
            return
        descriptor = os.open(self.temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            check_publication(self.path)
        except Superseded:
            self.temporary.unlink()
            raise
        os.replace(self.temporary, self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_text(text: str, path: str | Path) -> None:
    """Write a text file by temporary name, fsync and rename."""
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def write_json(value: Any, path: str | Path) -> None:
    """Write JSON (no NaN) by temporary name, fsync and rename."""
    write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", path)
