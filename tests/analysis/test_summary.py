from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.analysis.summary import size_formula, summary, unread
from tinygrad_cnn.kernels.geometry import Window
from tinygrad_cnn.models import LeNet5


def window(size, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1)):
    return Window(size, stride, padding, dilation)


def test_lenet_as_in_the_textbook():
    net = summary(LeNet5(), (1, 28, 28))
    assert str(net) == LENET
    assert (net.parameters, net.multiply_adds) == (61_706, 416_520)
    assert net["features.conv1"].formula == "(28 + 2*2 - 5)/1 + 1 = 28"
    assert net["features.conv1"].parameters == 6 * (25 + 1)
    assert net["features.pool2"].output == (16, 5, 5)
    assert net.memory == sum(row.memory for row in net.rows)


LENET = """\
LeNet5
layer                   output        size                       parameters  multiply-adds   memory  sees / step
----------------------------------------------------------------------------------------------------------------
features: Sequential
  conv1: Conv2d         6 x 28 x 28   (28 + 2*2 - 5)/1 + 1 = 28         156        117,600  18.8 kB  5 / 1
  relu1: ReLU           6 x 28 x 28                                                         18.8 kB  5 / 1
  pool1: MaxPool2d      6 x 14 x 14   (28 - 2)/2 + 1 = 14                                    4.7 kB  6 / 2
  conv2: Conv2d         16 x 10 x 10  (14 - 5)/1 + 1 = 10             2,416        240,000   6.4 kB  14 / 2
  relu2: ReLU           16 x 10 x 10                                                         6.4 kB  14 / 2
  pool2: MaxPool2d      16 x 5 x 5    (10 - 2)/2 + 1 = 5                                     1.6 kB  16 / 4
classifier: Sequential
  flatten: Flatten      400
  fc1: Linear           120                                          48,120         48,000    480 B
  relu1: ReLU           120                                                                   480 B
  fc2: Linear           84                                           10,164         10,080    336 B
  relu2: ReLU           84                                                                    336 B
  fc3: Linear           10                                              850            840     40 B
----------------------------------------------------------------------------------------------------------------
one input (1, 28, 28): 61,706 parameters, 416,520 multiply-adds, 58.4 kB of activations"""


class Odd(nn.Module):
    """Operations of its own, a parameter of its own, a part that is used twice, a part that computes nothing."""

    def __init__(self):
        self.scale = nn.Parameter(np.ones(4, np.float32))
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.Dropout(), nn.Identity())
        self.twice = nn.Conv2d(4, 4, 1)
        self.again = nn.ModuleList([self.twice])

    def forward(self, x):
        x = F.relu(self.stem(x)) * self.scale.reshape(4, 1, 1)
        return F.avg_pool2d(self.twice(self.again[0](x)), (3, 2), ceil_mode=True)


def test_what_is_not_a_plain_row_of_layers():
    net = summary(Odd(), (2, 12, 11))
    lines = [(row.path, row.name, row.depth) for row in net.rows]
    assert lines == [
        ("", "(its own parameters)", 0),
        ("stem", "stem: Sequential", 0),
        ("stem.0", "0: Conv2d", 1),
        ("stem.1", "1: Dropout", 1),
        ("stem.2", "2: Identity", 1),
        ("", "ReLU", 0),
        ("", "Reshape", 0),
        ("", "Mul", 0),
        ("twice", "twice: Conv2d", 0),
        ("", "AvgPool2d", 0),
    ]
    assert net.parameters == sum(p.size for p in Odd().parameters()) == 4 + 76 + 20
    assert net["stem.0"].unread == (1, 0)
    assert net["stem.0"].formula == "floor((12 - 3)/2) + 1 = 5, (11 - 3)/2 + 1 = 5"
    assert net["twice"].multiply_adds == 2 * 4 * 4 * 25  # both calls
    assert net["twice"].memory == 2 * 4 * 4 * 25
    assert net.rows[-1].formula == "ceil((5 - 3)/3) + 1 = 2, ceil((5 - 2)/2) + 1 = 3"
    assert net["stem.1"].output is None
    assert "1 rows" in str(net)


def test_vectors_and_single_layers():
    net = summary(nn.Linear(3, 2, dtype=np.float64), (3,))
    assert [(row.name, row.output, row.parameters, row.multiply_adds) for row in net.rows] == [("Linear", (2,), 8, 6)]
    assert net.memory == 16
    assert "size" not in str(net).splitlines()[1]  # a column that would be empty
    assert net.input == (3,)


def test_the_model_does_not_change():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    before = {name: array.copy() for name, array in model.state_dict().items()}
    summary(model, (1, 5, 6))
    assert all(module.training for module in model.modules())
    assert all((model.state_dict()[name] == before[name]).all() for name in before)


@pytest.mark.parametrize(
    ("through", "image", "output", "text", "left_out"),
    [
        (window((5, 5)), (32, 32), (28, 28), "(32 - 5)/1 + 1 = 28", (0, 0)),
        (window((2, 3), (2, 2)), (5, 6), (2, 2), "floor((5 - 2)/2) + 1 = 2, floor((6 - 3)/2) + 1 = 2", (1, 1)),
        (window((1, 1), (2, 3)), (7, 7), (4, 3), "(7 - 1)/2 + 1 = 4, (7 - 1)/3 + 1 = 3", (3, 4)),
        (
            window((3, 3), (1, 1), ((2, 2), (2, 1)), (2, 2)),
            (7, 7),
            (7, 6),
            "(7 + 2*2 - 2*(3 - 1) - 1)/1 + 1 = 7, (7 + 2 + 1 - 2*(3 - 1) - 1)/1 + 1 = 6",
            (0, 0),
        ),
        (window((2, 2), (2, 2)), (5, 5), (3, 3), "ceil((5 - 2)/2) + 1 = 3", (0, 0)),
        # only every third column is read, and the fourth window would begin outside
        (window((1, 2), (1, 1), ((0, 0), (0, 0)), (1, 4)), (2, 5), (2, 1), "(2 - 1)/1 + 1 = 2, ", (0, 3)),
    ],
)
def test_formula_and_pixels_that_are_never_read(through, image, output, text, left_out):
    assert size_formula(through, image, output).startswith(text)
    assert unread(through, image, output) == left_out


def test_mistakes():
    with pytest.raises(ValueError, match="400"):
        summary(LeNet5(), (1, 32, 32))
    with pytest.raises(TypeError, match="summary: input_size"):
        summary(LeNet5(), 28)
    with pytest.raises(KeyError, match=r"LeNet5 has no row 'features.conv9'; the rows are \['features'"):
        summary(LeNet5(), (1, 28, 28))["features.conv9"]


def test_a_layer_whose_units_differ_in_what_they_see_says_so():
    net = summary(nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(5)), (1, 9, 9))
    assert net["1"].receptive_field is None
    assert "varies" in str(net).splitlines()[4]
