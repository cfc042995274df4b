"""Colours against the CIE's own tables, illuminants and the sRGB primaries."""

import numpy as np
import pytest

from molsieve.chem.colour import (
    WAVELENGTHS_NM,
    band_spectrum,
    chromaticity,
    emission_chromaticity,
    matching_functions,
    screen_colour,
    visible_share,
    xyz_of_spectrum,
)

TABULATED = {  # CIE 1931 2° observer (CIE 15:2004, table T.4), rounded to 4 decimals
    450: (0.3362, 0.0380, 1.7721),
    500: (0.0049, 0.3230, 0.2720),
    550: (0.4334, 0.9950, 0.0087),
    600: (1.0622, 0.6310, 0.0008),
    650: (0.2835, 0.1070, 0.0000),
}


def test_matching_functions_are_those_of_the_table():
    told = matching_functions(np.array(list(TABULATED)))
    np.testing.assert_allclose(told.T, list(TABULATED.values()), atol=0.025)


def test_equal_energy_is_white():
    xy = chromaticity(xyz_of_spectrum(np.ones(len(WAVELENGTHS_NM))))
    np.testing.assert_allclose(xy, [1 / 3, 1 / 3], atol=1e-3)


def test_a_black_body_lies_on_its_locus():
    """2856 K is the CIE's illuminant A, x 0.4476, y 0.4074."""
    metre = WAVELENGTHS_NM * 1e-9
    power = metre**-5 / (np.exp(0.01438777 / (metre * 2856)) - 1)
    np.testing.assert_allclose(chromaticity(xyz_of_spectrum(power)), [0.4476, 0.4074], atol=2e-3)


@pytest.mark.parametrize(
    ("energy_ev", "width_ev", "x", "y"),
    [
        (1.90, 0.35, 0.6272, 0.3719),
        (2.30, 0.40, 0.3141, 0.5677),
        (2.75, 0.45, 0.1450, 0.0731),
        (3.10, 0.30, 0.1694, 0.0070),
    ],
)
def test_bands_of_molecules_have_the_colour_of_the_cies_own_table(energy_ev, width_ev, x, y):
    """x and y by colour-science 0.4.6: the tabulated CIE 1931 2° observer at every nanometre."""
    told = emission_chromaticity(np.array(energy_ev), width_ev)
    np.testing.assert_allclose(told, [x, y], atol=0.003)


def test_a_narrow_band_has_the_colour_of_its_wavelength():
    energy = 1239.841984 / 520
    xy = emission_chromaticity(np.array(energy), 0.005)
    np.testing.assert_allclose(xy, [0.0743, 0.8338], atol=0.02)


def test_bands_keep_their_peak_and_width_in_energy():
    power = band_spectrum(2.5, 0.4)
    photon = 1239.841984 / WAVELENGTHS_NM
    in_energy = power * WAVELENGTHS_NM / photon
    half = photon[in_energy > 0.5 * in_energy.max()]
    assert half.max() - half.min() == pytest.approx(0.4, abs=0.02)
    assert photon[in_energy.argmax()] == pytest.approx(2.5, abs=0.01)


def test_what_is_hardly_visible_has_no_colour():
    assert visible_share(2.4, 0.3) > 0.99
    assert visible_share(3.2627, 1e-3) == pytest.approx(0.5, abs=0.05)  # 380 nm
    told = emission_chromaticity(np.array([2.4, 4.5, 0.9, np.nan]), 0.3)
    assert np.isfinite(told[0]).all() and np.isnan(told[1:]).all()


@pytest.mark.parametrize(
    ("x", "y", "colour"),
    [(0.3127, 0.3290, "#ffffff"), (0.64, 0.33, "#ff0000"), (0.30, 0.60, "#00ff00"),
     (0.15, 0.06, "#0000ff")],
)  # fmt: skip
def test_primaries_and_white_of_a_screen(x, y, colour):
    told = screen_colour(x, y)
    channels = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (told, colour)]
    np.testing.assert_allclose(*channels, atol=12)


def test_a_pure_colour_is_moved_onto_the_screen():
    assert screen_colour(0.0743, 0.8338).startswith("#00ff")
    with pytest.raises(ValueError, match="no chromaticity"):
        screen_colour(float("nan"), 0.3)
