import numpy as np
from sklearn.preprocessing import StandardScaler

from keras_regimen.recipes.harness.datasets.standardized import standardized


def test_it_is_scikit_learns_scaler_fitted_on_the_first_part():
    rng = np.random.default_rng(0)
    parts = [rng.normal(3, 2, (rows, 4)) for rows in (20, 7, 5)]
    parts[0][:, 2] = 1.5  # Constant: it keeps its scale.
    scaler = StandardScaler().fit(parts[0])
    for found, part in zip(standardized(parts), parts, strict=True):
        np.testing.assert_allclose(found, scaler.transform(part), atol=1e-12)
