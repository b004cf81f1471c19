from .batch import RecipeBatch as RecipeBatch
from .batch import read_batch as read_batch
from .batch import recipe_table as recipe_table
from .batch import recipe_warnings as recipe_warnings
from .recipe import Recipe as Recipe
