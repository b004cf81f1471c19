"""Types of NumPy arrays, by what they hold."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Positions.
Ints = NDArray[np.intp]
Strings = NDArray[np.object_]
#: Which rows, or cells.
Mask = NDArray[np.bool_]
