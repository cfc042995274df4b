"""Both tables of what was built, whatever the domain."""

from __future__ import annotations

from pathlib import Path

from molsieve.domains.species_rows import failure, species_row, write_built
from molsieve.tables import read_table


def test_species_are_sorted_and_counted_by_what_became_of_them(tmp_path: Path) -> None:
    owners = [("C", "b"), ("C", "a"), ("N", None)]
    rows = [species_row("guest", name) | {"candidate_id": owner} for name, owner in owners]
    rows = [rows[0] | {"status": "ok"}, rows[1] | {"status": "ok"}, rows[2] | failure("no", "why")]
    outputs = tmp_path / "species.parquet", tmp_path / "structures.parquet"
    assert write_built(rows, [], *outputs, "test") == {"no": 1, "ok": 2}
    species = read_table(outputs[0], "species")
    assert species["species_id"].is_monotonic_increasing
    shared = species[species["identifier"] == "C"]
    assert shared["candidate_id"].tolist() == ["a", "b"] and shared["species_id"].nunique() == 1
    assert species.loc[species["identifier"] == "N", "error_message"].tolist() == ["why"]
    assert read_table(outputs[1], "structures").empty
