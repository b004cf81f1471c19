import pytest

from nasicon_ml.evaluation.cross_validation import fit_own_kernels


@pytest.mark.slow
def test_a_model_keeps_a_covariance_of_every_answer(trained):
    assert set(trained.model.own) == {"conductivity", "relative_density", "phase_purity"}
    small = trained.out_of_fold[trained.out_of_fold["target"] != "phase_purity"]
    with pytest.raises(ValueError, match="phase_purity: no out-of-fold prediction"):
        fit_own_kernels(small, trained.model.pellets)
