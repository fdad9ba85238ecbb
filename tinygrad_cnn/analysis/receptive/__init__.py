"""What a unit sees, exactly: followed through the recorded operations."""

from tinygrad_cnn.analysis.receptive.effective import EffectiveField, effective_field
from tinygrad_cnn.analysis.receptive.field import Field, receptive_field, units_seeing
from tinygrad_cnn.analysis.receptive.regular import PIXELS, Axis, ReceptiveField, receptive_fields
from tinygrad_cnn.analysis.receptive.sees import sees

__all__ = [
    "PIXELS",
    "Axis",
    "EffectiveField",
    "Field",
    "ReceptiveField",
    "effective_field",
    "receptive_field",
    "receptive_fields",
    "sees",
    "units_seeing",
]
