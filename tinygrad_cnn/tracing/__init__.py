"""What a model computes, seen from outside, by address."""

from tinygrad_cnn.tracing.call import Call, Shape, Visit, op_name
from tinygrad_cnn.tracing.recorder import Trace, trace

__all__ = ["Call", "Shape", "Trace", "Visit", "op_name", "trace"]
