"""Search spaces of recipes: what is to be looked through, made lazily, and what of it is best."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
