"""CIF files as a user might hand them in, whole or broken in one way."""

from __future__ import annotations

import ase

Row = tuple[str, str, float, float, float, float]
"""Label, type symbol, fractional coordinates, occupancy."""

SODALITE_ROWS: list[Row] = [
    ("T1", "Si", 0.0, 0.25, 0.5, 1.0),
    ("O1", "O", 0.0, 0.3533, 0.3533, 1.0),
]
SODALITE_CELL = (8.965, 8.965, 8.965, 90.0, 90.0, 90.0)


def cif_text(
    rows: list[Row],
    cell: tuple[float, ...] = SODALITE_CELL,
    space_group: str = "I m -3 m",
    name: str = "made",
) -> str:
    """A CIF file with one row a site; pymatgen applies the space group's operations."""
    lengths = zip(("length_a", "length_b", "length_c"), cell[:3], strict=True)
    angles = zip(("angle_alpha", "angle_beta", "angle_gamma"), cell[3:], strict=True)
    columns = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy")
    return "\n".join(
        [
            f"data_{name}",
            *(f"_cell_{key} {value}" for key, value in [*lengths, *angles]),
            f"_symmetry_space_group_name_H-M '{space_group}'",
            "loop_",
            *(f"_atom_site_{column}" for column in columns),
            *(" ".join(str(value) for value in row) for row in rows),
            "",
        ]
    )


def p1_text(atoms: ase.Atoms, extra: list[Row] | None = None) -> str:
    """A P1 file of a structure, with labels such as ``Si1``, ``O13``, and extra rows."""
    rows: list[Row] = [
        (f"{symbol}{number}", symbol, *(round(float(x), 6) for x in place), 1.0)  # type: ignore[misc]
        for number, (symbol, place) in enumerate(
            zip(atoms.get_chemical_symbols(), atoms.get_scaled_positions(), strict=True), start=1
        )
    ]
    return cif_text(rows + (extra or []), tuple(atoms.cell.cellpar()), "P 1")
