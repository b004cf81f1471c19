from .composition.reading import parse as parse
from .data.find import find_pellets as find_pellets
from .data.load import load_pellets as load_pellets
from .estimators.regressors import ConductivityRegressor as ConductivityRegressor
from .estimators.regressors import DensityRegressor as DensityRegressor
from .estimators.regressors import PhasePurityClassifier as PhasePurityClassifier
from .features.transformers import RecipeFeaturizer as RecipeFeaturizer
from .model import PropertyModel as PropertyModel
from .recipe.recipe import Recipe as Recipe
from .workflows.predict import predict as predict
from .workflows.profile import profile as profile
from .workflows.recommend import recommend as recommend
from .workflows.train import TrainingOptions as TrainingOptions
from .workflows.train import train as train

#: Version of the installed package.
__version__: str
