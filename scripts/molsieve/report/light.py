"""What the page says of light: wavelengths, rates, and colours where a Stokes shift is stated."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd

from molsieve.chem.colour import chromaticity, matching_functions, screen_colour
from molsieve.report.markup import MISSING, figure, is_missing, number
from molsieve.report.results import Results
from molsieve.report.svg import Axis, Plot

PLOTTED = 3000
SEEN_NM = np.arange(420.0, 641.0, 5.0)
"""Wavelengths of the border of the chromaticity diagram: beyond them the eye tells no more colours
(x changes by 0.02), and the fit of the colour-matching functions turns back."""


def light_text(results: Results) -> str:
    """What the wavelengths and colours of the page are, and what they rest on."""
    told = results.campaign["ranking"].get("photophysics")
    if told is None:
        return ""
    rates = (
        f"Rates are order-of-magnitude estimates: emission k_r by Einstein's coefficient in "
        f"vacuum, the way back from T1 k_RISC by Marcus with an assumed spin-orbit coupling of "
        f"{told['spin_orbit_coupling_per_cm']:g} cm⁻¹ and reorganisation energy of "
        f"{told['reorganisation_energy_ev']:g} eV, the same for all, at "
        f"{told['temperature_k']:g} K."
    )
    emission = told["emission"]
    if emission is None:
        return (
            "Wavelengths are those of vertical absorption: no Stokes shift is stated in the "
            f"campaign, so no colour of emission is shown. {rates}"
        )
    return (
        f"Emission is the vertical absorption less a Stokes shift of "
        f"{emission['stokes_shift_ev']:g} eV, a band of {emission['linewidth_ev']:g} eV full width "
        f"at half maximum (stated by the campaign; calibrated on: {emission['calibrated_on']}). "
        "Swatches show its CIE 1931 chromaticity as the brightest colour that an sRGB screen has "
        f"for it. {rates}"
    )


def light_facts(row: pd.Series) -> list[tuple[str, str]]:
    """Absorption or emission, the colour, and the rates; where the domain tells them."""
    facts = []
    if not is_missing(row["emission_nm"]):
        facts.append(("emission", f"{number(row['emission_nm'], 0)} nm {swatch(row)}"))
    elif not is_missing(row["absorption_nm"]):
        facts.append(("absorption", f"{number(row['absorption_nm'], 0)} nm"))
    rates = (("k_r", "radiative_rate_per_s"), ("k_RISC", "reverse_crossing_rate_per_s"))
    facts += [
        (name, f"{escape(power(row[key]))} s⁻¹") for name, key in rates if not is_missing(row[key])
    ]
    return facts


def power(value: float) -> str:
    """A rate as a power of ten, e.g. ``3·10⁷``: no more than an estimate has."""
    if is_missing(value):
        return MISSING
    if value < 1:
        return "< 1"
    mantissa, exponent = f"{value:.0e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}·10{raised}"


def swatch(row: pd.Series) -> str:
    """A patch of a candidate's emission colour, its coordinates beside the pointer."""
    x, y = row["cie_x"], row["cie_y"]
    if is_missing(x) or is_missing(y):
        return ""
    title = f"CIE 1931 x {x:.3f}, y {y:.3f}"
    return f'<span class="swatch" style="background:{screen_colour(x, y)}" title="{title}"></span>'


def colour_plot(ranking: pd.DataFrame) -> str:
    """Chromaticities inside the border of all colours; nothing without an emission."""
    shown = ranking[ranking["cie_x"].notna()].head(PLOTTED)
    if shown.empty:
        return ""
    border = chromaticity(matching_functions(SEEN_NM).T)
    border = np.concatenate([border, border[:1]])
    plot = Plot(Axis("CIE x", 0, 0.8), Axis("CIE y", 0, 0.9), "Chromaticity", width=420, height=440)
    plot.line(border[:, 0].tolist(), border[:, 1].tolist(), name="pure colours")
    plot.points(
        shown["cie_x"].tolist(),
        shown["cie_y"].tolist(),
        1,
        tips=[
            f"{r['identifier']}\n{r['emission_nm']:.0f} nm, x {r['cie_x']:.3f}, y {r['cie_y']:.3f}"
            for _, r in shown.iterrows()
        ],
        molecules=shown["candidate_id"].tolist(),
        fills=[screen_colour(r["cie_x"], r["cie_y"]) for _, r in shown.iterrows()],
    )
    return figure(
        plot.svg(),
        f"Emission of the first {len(shown):,} ranked candidates in the CIE 1931 diagram, from "
        "their vertical excitation and the stated Stokes shift and linewidth.",
    )
