"""Molecules drawn for the page: small SVG text that follows the page's colours."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from rdkit import Chem
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

WIDTH, HEIGHT = 220, 165

_COLOURS = {
    "#000000": "currentColor",
    "#FF0000": "var(--oxygen)",
    "#0000FF": "var(--nitrogen)",
    "#00CC00": "var(--halogen)",
    "#33CCCC": "var(--halogen)",
    "#7F4C19": "var(--halogen)",
    "#CCCC00": "var(--sulphur)",
}


def draw_molecule(smiles: str) -> str:
    """A molecule as an ``<svg class="molecule">``; its SMILES as text where it cannot be drawn."""
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        return f'<code class="molecule">{escape(smiles)}</code>'
    rdDepictor.SetPreferCoordGen(False)
    rdDepictor.Compute2DCoords(molecule)
    rdDepictor.StraightenDepiction(molecule)
    drawer = rdMolDraw2D.MolDraw2DSVG(WIDTH, HEIGHT)
    # RDKit's stubs type every option as the options themselves.
    options: Any = drawer.drawOptions()
    options.clearBackground = False
    options.bondLineWidth = 2
    options.fixedBondLength = 26
    options.padding = 0.04
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
    drawer.FinishDrawing()
    return _compact(drawer.GetDrawingText(), smiles)


def _compact(drawing: str, smiles: str) -> str:
    """RDKit's drawing without prologue, classes and needless digits, in the page's colours."""
    body = drawing[drawing.index("<!-- END OF HEADER -->") + 22 : drawing.rindex("</svg>")]
    body = re.sub(r"\s*class='[^']*'", "", body)
    body = re.sub(r"(\d+\.\d)\d+", r"\1", body)
    body = re.sub(r"stroke-opacity:1;?|stroke-linecap:butt;?|stroke-linejoin:miter;?", "", body)
    body = re.sub(r"stroke-miterlimit:10;?|fill-rule:evenodd;?|fill-opacity:1;?", "", body)
    body = re.sub(r"#[0-9A-F]{6}", lambda m: _COLOURS.get(m.group(), m.group()), body)
    body = re.sub(r"fill='(var\([^)]*\)|currentColor)'", r"style='fill:\1'", body)
    body = re.sub(
        r"style='fill:none;stroke:([^;]*);stroke-width:2\.0px;'",
        r"class='bond' style='stroke:\1'",
        body,
    ).replace(" style='stroke:currentColor'", "")
    body = re.sub(r"\s*\n\s*", "", body)
    return (
        f'<svg class="molecule" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(smiles)}">{body}</svg>'
    )
