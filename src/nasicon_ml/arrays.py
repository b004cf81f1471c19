"""Types of NumPy arrays."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Positions (indices).
Ints = NDArray[np.intp]
Strings = NDArray[np.object_]
#: Boolean masks of rows or cells.
Mask = NDArray[np.bool_]
