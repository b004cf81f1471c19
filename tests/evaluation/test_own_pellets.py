import pytest

from nasicon_ml.evaluation.cross_validation import fit_own_kernels


@pytest.mark.slow
def test_own_kernels_are_fitted_for_all_targets_and_need_their_predictions(trained):
    assert set(trained.model.own) == {"conductivity", "relative_density", "phase_purity"}
    without_purity = trained.out_of_fold[trained.out_of_fold["target"] != "phase_purity"]
    with pytest.raises(ValueError, match="phase_purity: no out-of-fold prediction"):
        fit_own_kernels(without_purity, trained.model.pellets)
