import numpy as np
import pytest

from nasicon_ml.composition import ELEMENTS
from nasicon_ml.features.build import magpie, octahedral_radius_angstrom, radius_at_valence


@pytest.mark.parametrize(
    "name", ["Electronegativity", "MeltingT", "CovalentRadius", "MendeleevNumber", "NdUnfilled"]
)
def test_magpie_element_properties_equal_those_of_matminer(name):
    from matminer.utils.data import MagpieData
    from pymatgen.core import Element

    data = MagpieData(impute_nan=False)
    expected = [data.get_elemental_property(Element(symbol), name) for symbol in ELEMENTS]
    np.testing.assert_array_equal(magpie(name), expected)


def test_magpie_array_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        magpie("MeltingT")[0] = 1.0


@pytest.mark.parametrize(
    ("symbol", "valence", "radius"),
    # Shannon 1976, six-fold coordination, high spin.
    [("Al", 3, 0.535), ("Ti", 4, 0.605), ("Ti", 3, 0.67), ("Ge", 4, 0.53), ("Zr", 4, 0.72), ("Fe", 3, 0.645)],
)
def test_octahedral_radius_matches_shannon_1976(symbol, valence, radius):
    assert octahedral_radius_angstrom()[ELEMENTS.index(symbol), valence] == radius


def test_radius_at_mixed_valence_is_interpolated_and_nan_for_absent_elements():
    valence = np.full((1, len(ELEMENTS)), np.nan)
    valence[0, ELEMENTS.index("Ti")] = 3.5
    radius = radius_at_valence(valence)
    assert radius[0, ELEMENTS.index("Ti")] == pytest.approx((0.605 + 0.67) / 2)
    assert np.isnan(radius[0, ELEMENTS.index("Al")])
