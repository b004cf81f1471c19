"""Figures: frame in, matplotlib figure out. No window, no pyplot state, nothing written unless asked.

Every function returns a `matplotlib.figure.Figure`; `save` writes one. Colours are those of Okabe and Ito and
of cividis, which hold for all common forms of colour blindness.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
