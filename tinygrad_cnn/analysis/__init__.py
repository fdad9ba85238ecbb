"""What a network is: sizes, costs, and what each unit sees."""

from tinygrad_cnn.analysis.ablation import ablate
from tinygrad_cnn.analysis.ablation_study import AblationStudy, ablate_each, ablation_study
from tinygrad_cnn.analysis.activations import Activities, activities
from tinygrad_cnn.analysis.explain import Explanation, explain
from tinygrad_cnn.analysis.formulas import Formula, formula
from tinygrad_cnn.analysis.hard_examples import SampleLosses, sample_losses
from tinygrad_cnn.analysis.multiply_adds import multiply_adds
from tinygrad_cnn.analysis.nonfinite import Blame, NonFinite, NonFiniteError, blame_nonfinite, find_nonfinite
from tinygrad_cnn.analysis.patch_matrix import PatchMatrix, patch_matrix
from tinygrad_cnn.analysis.receptive import (
    EffectiveField,
    Field,
    ReceptiveField,
    effective_field,
    receptive_field,
    receptive_fields,
    sees,
    units_seeing,
)
from tinygrad_cnn.analysis.strongest import Activation, strongest_activations
from tinygrad_cnn.analysis.summary import Summary, summary
from tinygrad_cnn.calls import record_calls

__all__ = [
    "AblationStudy",
    "Activation",
    "Activities",
    "Blame",
    "EffectiveField",
    "Explanation",
    "Field",
    "Formula",
    "NonFinite",
    "NonFiniteError",
    "PatchMatrix",
    "ReceptiveField",
    "SampleLosses",
    "Summary",
    "ablate",
    "ablate_each",
    "ablation_study",
    "activities",
    "blame_nonfinite",
    "effective_field",
    "explain",
    "find_nonfinite",
    "formula",
    "multiply_adds",
    "patch_matrix",
    "receptive_field",
    "receptive_fields",
    "record_calls",
    "sample_losses",
    "sees",
    "strongest_activations",
    "summary",
    "units_seeing",
]
