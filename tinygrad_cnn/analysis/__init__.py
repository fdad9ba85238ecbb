"""What a network is: sizes, costs, and what each unit sees."""

from tinygrad_cnn.analysis.ablation import ablate
from tinygrad_cnn.analysis.multiply_adds import multiply_adds
from tinygrad_cnn.analysis.receptive_field import ReceptiveField, receptive_fields, window
from tinygrad_cnn.analysis.summary import Summary, summary
from tinygrad_cnn.calls import record_calls

__all__ = [
    "ReceptiveField",
    "Summary",
    "ablate",
    "multiply_adds",
    "receptive_fields",
    "record_calls",
    "summary",
    "window",
]
