"""Synthetic tables of training results and predictions."""

import numpy as np
import pandas as pd

from nasicon_ml.columns import MODEL_INPUT, Column

SYSTEMS = ("LATP", "LAGP", "LTP", "LZP", "NZSP", "LScTP", "LATGP")


def out_of_fold(seed=0, n=400, repeats=1):
    """Return out-of-fold predictions whose 90 % intervals contain about 90 % of the measured values."""
    random = np.random.default_rng(seed)
    frames = []
    for target, centre, spread in (
        ("conductivity", -4.5, 1.4), ("relative_density", 90.0, 7.0), ("phase_purity", 0.6, 0.0)
    ):  # fmt: skip
        system = random.choice(SYSTEMS, n, p=[0.4, 0.25, 0.12, 0.1, 0.08, 0.04, 0.01])
        source = random.permutation(np.arange(n) % max(n // 4, 1))
        truth = random.normal(centre, spread, n)
        for repeat in range(repeats):
            deviation = random.uniform(0.2, 0.8, n) * max(spread, 1)
            if target == "phase_purity":
                predicted = random.beta(3, 2, n)
                measured = (random.uniform(size=n) < predicted).astype(float)
                lower = upper = np.full(n, np.nan)
            else:
                measured = np.minimum(truth, 100)
                predicted = measured + random.normal(0, deviation)
                lower, upper = predicted - 1.645 * deviation, predicted + 1.645 * deviation
            frames.append(
                pd.DataFrame(
                    {
                        "target": target,
                        Column.PELLET_ID.value: [f"p{i}" for i in range(n)],
                        Column.SOURCE.value: [f"source{i}" for i in source],
                        Column.SYSTEM.value: system,
                        "repeat": repeat,
                        "fold": source % 10,
                        "measured": measured,
                        "predicted": predicted,
                        "lower": lower,
                        "upper": upper,
                        "composition_only": predicted,
                        "median": measured.mean() if target == "phase_purity" else np.median(measured),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def importances(n=30):
    random = np.random.default_rng(1)
    rows = {
        "target": np.repeat(["conductivity", "relative_density", "phase_purity"], n),
        "feature": [f"feature_with_a_name_{i}" for i in range(n)] * 3,
        "importance": np.tile(0.3 * 0.8 ** np.arange(n), 3),
        "spread": random.uniform(0, 0.02, 3 * n),
    }
    return pd.DataFrame(rows)


def predictions(n=6):
    """Return recipes with their predictions; some state only the formula."""
    random = np.random.default_rng(2)
    formulas = [
        "Li1.3Al0.3Ti1.7(PO4)3", "Li1.5Al0.5Ge1.5(PO4)3", "LiTi2(PO4)3", "Na3Zr2Si2PO12", "LiZr2(PO4)3",
        "Li1.4Al0.4Ti1.2Ge0.4(PO4)3",
    ]  # fmt: skip
    frame = pd.DataFrame({column.value: [None] * n for column in MODEL_INPUT})
    frame[Column.FORMULA.value] = [formulas[i % 6] for i in range(n)]
    frame[Column.SINTERING_TEMPERATURE_C.value] = [900.0, 850.0, np.nan, 1200.0, 1150.0, np.nan] * (n // 6) + [
        800.0
    ] * (n % 6)
    frame[Column.ATMOSPHERE.value] = (["air", None, "Ar", "air", None, None] * n)[:n]
    log10 = random.uniform(-7, -3, n)
    density = random.uniform(75, 97, n)
    frame[Column.PREDICTED_CONDUCTIVITY_S_CM.value] = 10**log10
    frame[Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM.value] = 10 ** (log10 - 0.9)
    frame[Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM.value] = 10 ** (log10 + 0.8)
    frame[Column.PREDICTED_RELATIVE_DENSITY_PCT.value] = density
    frame[Column.PREDICTED_RELATIVE_DENSITY_LOWER_PCT.value] = density - 8
    frame[Column.PREDICTED_RELATIVE_DENSITY_UPPER_PCT.value] = np.minimum(density + 4, 100)
    frame[Column.PREDICTED_PHASE_PURITY.value] = random.uniform(0, 1, n)
    frame[Column.INSIDE_DOMAIN.value] = [i % 4 != 3 for i in range(n)]
    return frame
