"""Operations on finished networks; each proves on data that the network still computes the same."""

from tinygrad_cnn.surgery.batch_norm import fuse_batchnorm
from tinygrad_cnn.surgery.convolution import Dense, convolutionalize
from tinygrad_cnn.surgery.freezing import FrozenBatchNorm1d, FrozenBatchNorm2d, FrozenBatchNorm3d, freeze
from tinygrad_cnn.surgery.proof import Surgery

__all__ = [
    "Dense",
    "FrozenBatchNorm1d",
    "FrozenBatchNorm2d",
    "FrozenBatchNorm3d",
    "Surgery",
    "convolutionalize",
    "freeze",
    "fuse_batchnorm",
]
