import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import Column
from nasicon_ml.composition import ELEMENTS, occupancies
from nasicon_ml.data.load import load_pellets
from nasicon_ml.features.build import FeatureSet, build_features, feature_names
from nasicon_ml.features.processing import (
    USUAL_FIRING_C,
    USUAL_PARTICLE_SIZE_UM,
    firing_columns,
    usual_firing_c,
    usual_for_hosts_c,
)
from nasicon_ml.recipe import Recipe, recipe_table

LZP = "LiZr2(PO4)3"


def hosts_c(table):
    """Usual firing temperature for the host cations of each recipe in °C."""
    sites = occupancies(table[Column.FORMULA].to_list())
    return sites.per_row(usual_for_hosts_c(sites))


def firing(formula, **fields):
    """The three firing features of one recipe, by name."""
    table = recipe_table([Recipe(formula=formula, **fields)])
    columns = firing_columns(table, hosts_c(table))
    return {name: values.item() for name, values in columns.items()}


def usual_temperature_c(formula, **fields):
    """Usual firing temperature of one recipe in °C."""
    table = recipe_table([Recipe(formula=formula, **fields)])
    return usual_firing_c(table, hosts_c(table)).item()


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("LiTi2(PO4)3", 900.0),
        ("LiGe2(PO4)3", 850.0),
        (LZP, 1200.0),
        ("LiHf2(PO4)3", 1100.0),
        ("LiSn2(PO4)3", 950.0),
        ("Na3Zr2Si2PO12", 1200.0),
        ("LATP x=0.3", 900.0),  # aluminium is not a host
        ("LiTiGe(PO4)3", 875.0),
        ("LiTi1.5Zr0.5(PO4)3", 975.0),  # (1.5 x 900 + 0.5 x 1200) / 2
        ("Li1.4Al0.4Ge0.4Ti1.2(PO4)3", 887.5),  # (0.4 x 850 + 1.2 x 900) / 1.6
        ("Li3Sc2(PO4)3", 1000.0),
        ("LiFeNb(PO4)3", 1000.0),
    ],
)
def test_usual_temperature_is_mean_over_hosts_weighted_by_amount(formula, expected):
    assert usual_temperature_c(formula) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("formula", "fields", "expected"),
    [
        ("LiTi2(PO4)3", {"sintering_temperature_c": 1000}, (100.0, 0.0, 100.0)),
        (LZP, {"sintering_temperature_c": 1000}, (-200.0, 200.0, 0.0)),
        ("LiGe2(PO4)3", {"sintering_temperature_c": 850}, (0.0, 0.0, 0.0)),
        # A tenth of the usual size lowers the usual temperature by 90 °C.
        ("LATP x=0.3", {"sintering_temperature_c": 900, "particle_size_um": 0.31}, (90.0, 0.0, 90.0)),
        # Ten times the usual size raises it by 90 °C.
        ("LATP x=0.3", {"sintering_temperature_c": 900, "particle_size_um": 31}, (-90.0, 90.0, 0.0)),
    ],
)
def test_firing_features_match_hand_computed_values(formula, fields, expected):
    features = firing(formula, **fields)
    assert list(features) == ["firing_excess_c", "underfired_c", "overfired_c"]
    assert tuple(features.values()) == pytest.approx(expected)


def test_firing_features_are_nan_without_sintering_temperature():
    assert all(np.isnan(value) for value in firing(LZP, particle_size_um=0.5, sintering_time_h=6).values())


def test_unknown_particle_size_is_treated_as_usual_size():
    unknown = firing(LZP, sintering_temperature_c=1150)
    assert unknown == firing(LZP, sintering_temperature_c=1150, particle_size_um=USUAL_PARTICLE_SIZE_UM)


@given(st.floats(0.1, 20), st.floats(0.1, 2))
def test_usual_temperature_falls_90_degrees_per_decade_of_particle_size(size, decades):
    coarse, fine = (usual_temperature_c("LATP x=0.3", particle_size_um=one) for one in (size, size / 10**decades))
    assert coarse - fine == pytest.approx(90.0 * decades)


@given(st.floats(100, 1500), st.none() | st.floats(0.01, 50), st.sampled_from([LZP, "LAGP x=0.5", "Li3Sc2(PO4)3"]))
def test_overfired_minus_underfired_equals_firing_excess(temperature, size, formula):
    features = firing(formula, sintering_temperature_c=temperature, particle_size_um=size)
    assert features["overfired_c"] - features["underfired_c"] == pytest.approx(features["firing_excess_c"])
    assert min(features["overfired_c"], features["underfired_c"]) == 0.0


def test_firing_excess_is_computed_separately_for_each_row():
    recipes = [
        Recipe(formula=LZP, sintering_temperature_c=1000),
        Recipe(formula="LATP x=0.3", sintering_temperature_c=1000, particle_size_um=0.31),
        Recipe(formula=LZP),
        Recipe(formula=LZP, sintering_temperature_c=1300),
    ]
    table = recipe_table(recipes)
    excess = firing_columns(table, hosts_c(table))["firing_excess_c"]
    np.testing.assert_allclose(excess, [-200.0, 190.0, np.nan, 100.0])


#: The committed model was trained with medians of dataset 1; those of dataset 2 differ by 50 °C or more.
DATASET_1_MEDIAN = pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="medians of dataset 1, which published sets of features keep"
)


@pytest.mark.parametrize(
    "host",
    [pytest.param(host, marks=DATASET_1_MEDIAN) if host in ("Hf", "Sn") else host for host in USUAL_FIRING_C],
)
def test_usual_firing_temperature_is_dataset_median_for_each_host(host):
    """Median over sources of each source's median: lithium, conventional, the host at least half of M."""
    pellets = load_pellets()
    usable = (pellets[Column.DENSIFICATION] == "conventional") & pellets[Column.SINTERING_TEMPERATURE_C].notna()
    pellets = pellets[usable].reset_index(drop=True)
    sites = occupancies(pellets[Column.FORMULA].to_list())
    lithium, sodium = (sites.per_row(sites.a[:, ELEMENTS.index(alkali)]) for alkali in ("Li", "Na"))
    host_amount, total_amount = sites.per_row(sites.m[:, ELEMENTS.index(host)]), sites.per_row(sites.m.sum(axis=1))
    chosen = pellets[(lithium > sodium) & (host_amount >= 0.5 * total_amount - 1e-9)]
    by_source = chosen.groupby(Column.SOURCE)[Column.SINTERING_TEMPERATURE_C].median()
    assert len(by_source) >= 3
    assert USUAL_FIRING_C[host] == 50.0 * np.floor(by_source.median() / 50.0 + 0.5)


def test_full_2_feature_set_is_full_1_plus_three_firing_features():
    table = recipe_table(
        [
            Recipe(formula="LATP x=0.3", sintering_temperature_c=950, sintering_time_h=6, particle_size_um=0.5),
            Recipe(formula=LZP),
        ]
    )
    old, new = build_features(table, "full"), build_features(table, "full_2")
    assert FeatureSet("full") is FeatureSet.FULL_1
    assert old.names == feature_names(FeatureSet.FULL_1)
    assert new.names == (*old.names, "firing_excess_c", "underfired_c", "overfired_c")
    np.testing.assert_array_equal(new.values[:, : len(old.names)], old.values)
