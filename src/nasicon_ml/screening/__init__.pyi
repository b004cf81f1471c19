from .space import Candidates as Candidates
from .space import SampledSpace as SampledSpace
from .space import SearchSpace as SearchSpace
