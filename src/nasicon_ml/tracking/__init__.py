"""Training runs and the registry of models in MLflow. Nothing else in the package imports MLflow."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
