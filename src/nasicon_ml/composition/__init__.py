"""Formulas and shorthand to site occupancies of A1+xM2(TO4)3: x, charge balance, the system's name."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
