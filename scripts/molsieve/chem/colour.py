"""The colour of an emission band: CIE 1931 coordinates, and the sRGB colour a screen shows.

Colour-matching functions are the multi-lobe fit of Wyman, Sloan, Shirley, J. Comput. Graph. Tech.
2(2), 1 (2013), table 1, to the CIE 1931 2° observer: six lobes. Bands between 1.8 and 3.2 eV that
are 0.3 eV wide or more have the table's x and y within 0.01, most within 0.002; what is narrower
and deep red or violet may be 0.1 off. sRGB is IEC 61966-2-1.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from molsieve.units import EV_NM

WAVELENGTHS_NM = np.arange(360.0, 831.0, 1.0)
"""Where an eye sees anything."""
LOBES = {
    "x": ((1.056, 599.8, 37.9, 31.0), (0.362, 442.0, 16.0, 26.7), (-0.065, 501.1, 20.4, 26.2)),
    "y": ((0.821, 568.8, 46.9, 40.5), (0.286, 530.9, 16.3, 31.1)),
    "z": ((1.217, 437.0, 11.8, 36.0), (0.681, 459.0, 26.0, 13.8)),
}
"""Height, centre, width below and above the centre (nm), of each lobe of each function."""
RGB_OF_XYZ = np.array(
    [
        [3.2406, -1.5372, -0.4986],
        [-0.9689, 1.8758, 0.0415],
        [0.0557, -0.2040, 1.0570],
    ]
)
SEEN = 0.1
"""ASSUME: share of a band that must be visible for it to have a colour."""
FULL_WIDTH = 2 * np.sqrt(2 * np.log(2))
"""Full width at half maximum of a Gaussian, in standard deviations."""


def matching_functions(wavelength_nm: np.ndarray) -> np.ndarray:
    """(3, W) colour-matching functions x, y, z of the CIE 1931 2° observer at (W,) nm."""
    wavelength_nm = np.asarray(wavelength_nm, float)

    def lobe(height: float, centre: float, below: float, above: float) -> np.ndarray:
        width = np.where(wavelength_nm < centre, below, above)
        return np.asarray(height * np.exp(-0.5 * ((wavelength_nm - centre) / width) ** 2))

    return np.stack([sum(lobe(*told) for told in lobes) for lobes in LOBES.values()])


def xyz_of_spectrum(power: np.ndarray, wavelength_nm: np.ndarray = WAVELENGTHS_NM) -> np.ndarray:
    """(…, 3) tristimulus values of spectral powers per nm (…, W), with evenly spaced (W,) nm."""
    return np.asarray(power, float) @ matching_functions(wavelength_nm).T


def band_spectrum(energy_ev: np.ndarray | float, linewidth_ev: float) -> np.ndarray:
    """(…, W) power per nm of bands that are Gaussian in energy, at :data:`WAVELENGTHS_NM`.

    Args:
        energy_ev: (…,) centre; linewidth_ev: full width at half maximum.
    """
    photon_ev = EV_NM / WAVELENGTHS_NM
    offset = (photon_ev - np.asarray(energy_ev, float)[..., None]) * FULL_WIDTH / linewidth_ev
    return np.asarray(np.exp(-0.5 * offset**2) * photon_ev / WAVELENGTHS_NM)  # dE/dλ = E/λ


def chromaticity(xyz: np.ndarray) -> np.ndarray:
    """(…, 2) CIE x and y of tristimulus values (…, 3), which are not all zero."""
    return np.asarray(xyz[..., :2] / xyz.sum(axis=-1, keepdims=True))


def visible_share(energy_ev: np.ndarray | float, linewidth_ev: float) -> np.ndarray:
    """(…,) share of the power of bands that are Gaussian in energy, between 380 and 750 nm."""
    low, high = (EV_NM / nm for nm in (750.0, 380.0))
    scaled = FULL_WIDTH / linewidth_ev
    centre = np.asarray(energy_ev, float)
    return np.asarray(norm.cdf((high - centre) * scaled) - norm.cdf((low - centre) * scaled))


def emission_chromaticity(energy_ev: np.ndarray, linewidth_ev: float) -> np.ndarray:
    """(…, 2) CIE x and y of emission bands about ``energy_ev`` (…,).

    NaN where less than :data:`SEEN` of the band is visible: what little is seen of an ultraviolet
    or infrared emitter is not its colour.
    """
    energy_ev = np.asarray(energy_ev, float)
    seen = visible_share(energy_ev, linewidth_ev) >= SEEN
    told = np.full((*energy_ev.shape, 2), np.nan)
    told[seen] = chromaticity(xyz_of_spectrum(band_spectrum(energy_ev[seen], linewidth_ev)))
    return told


def screen_colour(x: float, y: float) -> str:
    """The brightest sRGB colour, ``#rrggbb``, of a chromaticity.

    What a screen cannot show is moved towards white until it can.

    Raises:
        ValueError: no chromaticity (NaN or y = 0).
    """
    if not (np.isfinite([x, y]).all() and y > 0):
        raise ValueError(f"no chromaticity: x {x}, y {y}")
    linear = RGB_OF_XYZ @ np.array([x / y, 1.0, (1 - x - y) / y])
    linear = linear - min(0.0, float(linear.min()))
    linear = linear / linear.max()
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * float(c)):02x}" for c in np.clip(curved, 0, 1))
