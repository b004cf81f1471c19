from .build import FeatureSet as FeatureSet
from .build import build_features as build_features
from .build import feature_names as feature_names
from .transformers import RecipeFeaturizer as RecipeFeaturizer
