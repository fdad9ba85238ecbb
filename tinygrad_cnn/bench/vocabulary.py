"""What networks are made of besides the rows' convolutions, products and losses: tables of layers and functions.

Each line: who shares its processes, its name, the layer or function with its arguments, and the target. Those that
networks of models/ use are to be as fast as PyTorch's, the others at least two thirds as fast.
"""

from __future__ import annotations

from typing import Any

MAPS = (32, 64, 28, 28)  # 6 MB
USED, OTHER = 1.0, 0.67

# Arguments of the layer, and the shape of its input.
LAYERS: tuple[tuple[str, str, str, tuple[Any, ...], tuple[int, ...], float], ...] = (
    ("convolutions", "conv1d", "Conv1d", (64, 64, 3, 1, 1), (32, 64, 512), OTHER),
    ("convolutions", "conv3d", "Conv3d", (16, 16, 3, 1, 1), (4, 16, 16, 28, 28), OTHER),
    ("convolutions", "conv-transpose", "ConvTranspose2d", (64, 64, 4, 2, 1), (16, 64, 28, 28), OTHER),
    ("convolutions", "upsampling", "ConvTranspose2d", (21, 21, 4, 2, 1, 0, 21, False), (16, 21, 28, 28), USED),
    ("convolutions", "unfold", "Unfold", (3, 1, 1), MAPS, OTHER),
    ("convolutions", "fold", "Fold", (28, 3, 1, 1), (32, 576, 784), OTHER),
    ("poolings", "lp-pool", "LPPool2d", (2, 2), MAPS, OTHER),
    ("poolings", "adaptive-max", "AdaptiveMaxPool2d", (6,), MAPS, USED),
    ("poolings", "adaptive-avg", "AdaptiveAvgPool2d", (1,), MAPS, USED),
    ("norms", "layer-norm", "LayerNorm", ((64, 28, 28),), MAPS, OTHER),
    ("norms", "group-norm", "GroupNorm", (8, 64), MAPS, OTHER),
    ("norms", "instance-norm", "InstanceNorm2d", (64,), MAPS, OTHER),
    ("norms", "response-norm", "LocalResponseNorm", (5,), MAPS, USED),
    ("activations", "prelu", "PReLU", (), MAPS, OTHER),
    ("activations", "elu", "ELU", (), MAPS, OTHER),
    ("activations", "gelu", "GELU", (), MAPS, OTHER),
    ("activations", "silu", "SiLU", (), MAPS, OTHER),
    ("activations", "mish", "Mish", (), MAPS, OTHER),
    ("activations", "hardswish", "Hardswish", (), MAPS, OTHER),
    ("activations", "softplus", "Softplus", (), MAPS, OTHER),
    ("activations", "relu6", "ReLU6", (), MAPS, USED),
    ("activations", "tanh", "Tanh", (), MAPS, USED),
    ("activations", "dropout", "Dropout", (), MAPS, USED),
    ("pixels", "pixel-shuffle", "PixelShuffle", (2,), MAPS, OTHER),
)

# Arguments of the function, by position and by name; a tuple that begins with a word is a tensor (ours.py).
X = ("normal", *MAPS)
HALF = (32, 64, 14, 14)
SCORES, TARGET = ("normal", 1024, 1000), ("uniform", 1024, 1000)
PLACES = ("index", 1000, 1024, 500)
EMBEDDED = ("normal", 1024, 128)
FUNCTIONS: tuple[tuple[str, str, str, tuple[Any, ...], dict[str, Any], float], ...] = (
    ("poolings", "max-unpool", "max_unpool2d", (("normal", *HALF), ("index", 784, *HALF), 2), {}, OTHER),
    ("pixels", "interpolate-nearest", "interpolate", (X,), {"scale_factor": 2, "mode": "nearest"}, OTHER),
    ("pixels", "interpolate-bilinear", "interpolate", (X,), {"scale_factor": 2, "mode": "bilinear"}, OTHER),
    ("pixels", "interpolate-bicubic", "interpolate", (X,), {"scale_factor": 2, "mode": "bicubic"}, OTHER),
    ("pixels", "grid-sample", "grid_sample", (X, ("normal", 32, 28, 28, 2)), {"align_corners": False}, OTHER),
    ("pixels", "pad", "pad", (X, (1, 2, 3, 4)), {}, OTHER),
    ("criteria", "bce-with-logits", "binary_cross_entropy_with_logits", (SCORES, TARGET), {}, OTHER),
    ("criteria", "smooth-l1", "smooth_l1_loss", (SCORES, TARGET), {}, OTHER),
    ("criteria", "kl-div", "kl_div", (SCORES, TARGET), {"reduction": "batchmean"}, OTHER),
    ("criteria", "triplet", "triplet_margin_loss", (EMBEDDED, EMBEDDED, EMBEDDED), {}, OTHER),
    ("sums", "einsum", "einsum", ("bij,bjk->bik", ("normal", 32, 128, 64), ("normal", 32, 64, 128)), {}, OTHER),
    ("sums", "cumsum", "cumsum", (SCORES, 1), {}, OTHER),
    ("sums", "sort", "sort", (SCORES, 1), {}, OTHER),
    ("sums", "topk", "topk", (SCORES, 5), {}, OTHER),
    ("sums", "gather", "gather", (SCORES, 1, PLACES), {}, OTHER),
    ("sums", "scatter-add", "scatter_add", (SCORES, 1, PLACES, ("normal", 1024, 500)), {}, OTHER),
)  # fmt: skip

# Alone, cat goes back to the .grad of its inputs, which are copies in both libraries. PyTorch's cat itself only returns
# views of the gradient that comes in, for the next operation to read: the module shows what that is worth.
JOINED: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("cat", "cat of three ({}), and backward() to their .grad", "joined", {"shape": MAPS, "count": 3}),
    ("inception", "GoogLeNet's module 3a of ({}), forward and backward", "inception", {"shape": (8, 192, 28, 28)}),
)

# The pooling of regions of interest: the shape of the maps, and how many boxes. PyTorch itself has none.
REGIONS = (("roi-align", "roi_align", (2, 256, 38, 50), 128), ("roi-pool", "roi_pool", (2, 256, 38, 50), 128))
