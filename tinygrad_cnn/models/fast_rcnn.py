"""The head of Fast R-CNN: one pass of convolutions for an image, then a class and a box for each region of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.nn import init


class FastRCNNHead(nn.Module):
    """Feature maps and regions of interest to class scores and, for each class, a refined box.

    x (N, C, H, W), boxes (K, 5)  ->  scores (K, num_classes), offsets (K, 4 * num_classes). A box is
    (image of the batch, x1, y1, x2, y2) in pixels of the image; ``spatial_scale`` brings it to the map. Offsets are
    (tx, ty, tw, th): the centre moves by tx of the width and ty of the height, width and height grow by exp(tw) and
    exp(th).

    Girshick, 2015, "Fast R-CNN", https://arxiv.org/abs/1504.08083. Weights begin as there: normal with standard
    deviation 0.01 for scores and 0.001 for boxes. Layers are named as in torchvision's detection models.

    Args:
        in_channels: C; 512 after the last convolution of VGG-16.
        num_classes: classes and the background; 21 for PASCAL VOC.
        output_size: bins along a side of a pooled region.
        spatial_scale: size of the map / size of the image; 1/16 for VGG-16 without its last pooling.
        hidden_size: values between the fully connected layers.
        generator: where the initial values come from; the default generator where None.

    >>> head = FastRCNNHead(8, 3, hidden_size=16)
    >>> boxes = np.array([[0, 16, 32, 200, 150], [1, 0, 0, 99, 79]], np.float32)
    >>> [y.shape for y in head(np.ones((2, 8, 14, 20), np.float32), boxes)]
    [(2, 3), (2, 12)]
    """

    def __init__(
        self,
        in_channels: int = 512,
        num_classes: int = 21,
        output_size: int = 7,
        spatial_scale: float = 1 / 16,
        hidden_size: int = 4096,
        *,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.fc6 = nn.Linear(in_channels * output_size**2, hidden_size, generator=generator)
        self.fc7 = nn.Linear(hidden_size, hidden_size, generator=generator)
        self.cls_score = nn.Linear(hidden_size, num_classes, generator=generator)
        self.bbox_pred = nn.Linear(hidden_size, 4 * num_classes, generator=generator)
        for layer, std in ((self.cls_score, 0.01), (self.bbox_pred, 0.001)):
            weight, bias = layer.parameters()
            init.normal_(weight, 0.0, std, generator)
            init.zeros_(bias)

    def forward(self, input: Any, boxes: Any) -> tuple[Any, Any]:
        regions = F.roi_pool(input, boxes, self.output_size, self.spatial_scale)  # (K, C, 7, 7)
        x = F.relu(self.fc7(F.relu(self.fc6(F.flatten(regions, 1)))))
        return self.cls_score(x), self.bbox_pred(x)
