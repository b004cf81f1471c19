"""Figures of data frames, without windows or pyplot state.

Every function returns a `matplotlib.figure.Figure`; `save` writes one to a file. The colours, of Okabe and Ito and
of cividis, can be distinguished with all common forms of colour blindness.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
