"""Layers, networks and their initial values, under PyTorch's names."""

from tinygrad_cnn import functional
from tinygrad_cnn.nn import init
from tinygrad_cnn.nn.activation import LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Softmax2d, Softmin, Tanh
from tinygrad_cnn.nn.container import ModuleList, Sequential
from tinygrad_cnn.nn.conv import Conv2d
from tinygrad_cnn.nn.curves import (
    CELU,
    ELU,
    GELU,
    SELU,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LogSigmoid,
    Mish,
    PReLU,
    ReLU6,
    SiLU,
    Softplus,
    Softsign,
)
from tinygrad_cnn.nn.dropout import AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d
from tinygrad_cnn.nn.linear import Linear
from tinygrad_cnn.nn.loss import CrossEntropyLoss, MSELoss, NLLLoss
from tinygrad_cnn.nn.loss_pairs import (
    BCELoss,
    BCEWithLogitsLoss,
    CosineEmbeddingLoss,
    CosineSimilarity,
    HingeEmbeddingLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MarginRankingLoss,
    MultiMarginLoss,
    PairwiseDistance,
    SmoothL1Loss,
    SoftMarginLoss,
    TripletMarginLoss,
)
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from tinygrad_cnn.nn.norm_groups import (
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
    LocalResponseNorm,
)
from tinygrad_cnn.nn.parameter import Parameter
from tinygrad_cnn.nn.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from tinygrad_cnn.nn.resize import PixelShuffle, PixelUnshuffle, Upsample
from tinygrad_cnn.nn.shape import Flatten, Identity, Unflatten

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "AdaptiveAvgPool2d",
    "AlphaDropout",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Conv2d",
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "Flatten",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "KLDivLoss",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "MarginRankingLoss",
    "MaxPool2d",
    "Mish",
    "Module",
    "ModuleList",
    "MultiMarginLoss",
    "NLLLoss",
    "PReLU",
    "PairwiseDistance",
    "Parameter",
    "PixelShuffle",
    "PixelUnshuffle",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softsign",
    "Tanh",
    "TripletMarginLoss",
    "Unflatten",
    "Upsample",
    "functional",
    "init",
]
