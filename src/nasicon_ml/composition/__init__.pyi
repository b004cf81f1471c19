from .formula import ELEMENTS as ELEMENTS
from .occupancy import OccupancyTable as OccupancyTable
from .occupancy import check_formulas as check_formulas
from .occupancy import occupancies as occupancies
from .reading import parse as parse
from .sites import CHARGE_TOLERANCE as CHARGE_TOLERANCE
from .sites import Composition as Composition
from .sites import SecondPhase as SecondPhase
