"""What the literature states about these ceramics, put as questions that a model can be asked.

`PhysicalRule` says what one is; the other modules hold them by subject. Rules are never loosened to suit a model.
"""

from __future__ import annotations

from functools import cache

from nasicon_ml.evaluation.physical_rules.composition import composition_rules
from nasicon_ml.evaluation.physical_rules.model import Answers, Check, PhysicalRule
from nasicon_ml.evaluation.physical_rules.powder import powder_rules
from nasicon_ml.evaluation.physical_rules.techniques import technique_rules
from nasicon_ml.evaluation.physical_rules.temperature import temperature_rules

__all__ = ["Answers", "Check", "PhysicalRule", "physical_rules"]


@cache
def physical_rules() -> tuple[PhysicalRule, ...]:
    """Give all rules, by subject: composition, firing, powder and gas, techniques and additives."""
    return (*composition_rules(), *temperature_rules(), *powder_rules(), *technique_rules())
