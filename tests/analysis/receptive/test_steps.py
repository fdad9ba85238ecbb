from __future__ import annotations

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.analysis import receptive_field


class Net(nn.Module):
    def __init__(self):
        self.first, self.wide = nn.Conv2d(1, 1, (3, 5), stride=2, padding=1), nn.Conv2d(1, 1, 3, padding=(0, 1))

    def forward(self, x):
        x = self.first(x)
        return F.relu(self.wide(x)) + F.flip(x, 2)[:, :, 1:-1]


def test_the_formula_stands_there_with_its_numbers():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, dilation=(2, 1), padding=(1, 0)), nn.ReLU(), nn.AvgPool2d(2))
    found = receptive_field(model, "2", (1, 12, 12)).steps()
    assert found.rows[0][:5] == (
        "0", "3, stride 1, padding 1, dilation 2: spans 5", "1 + (5 - 1)*1 = 5", "1*1 = 1",
        "0 + ((5 - 1)/2 - 1)*1 = 1",
    )  # fmt: skip
    assert [step.address for step in found.columns] == ["0", "2"]
    assert found.columns[1].size == "3 + (2 - 1)*1 = 4"
    assert found.columns[1].centre == "1 + ((2 - 1)/2 - 0)*1 = 1.5"
    assert str(found).splitlines()[0] == "rows"
    assert "columns" in str(found).splitlines()


def test_equal_axes_make_one_table():
    text = str(receptive_field(nn.Conv2d(1, 1, 3), "conv2d", (1, 5, 5)).steps()).splitlines()
    assert text[0].split("  ")[0] == "layer"
    assert len(text) == 3
    assert set(text[1]) == {"-"}


def test_the_way_that_sees_most_is_told_and_where_others_join():
    class Two(nn.Module):
        def __init__(self):
            self.left, self.right = nn.Conv2d(1, 1, (1, 3), padding=((0, 0), (2, 0))), nn.Conv2d(1, 1, (1, 2))

        def forward(self, x):
            return self.left(x) + F.pad(self.right(x), (0, 1))

    found = receptive_field(Two(), "add", (1, 4, 6)).steps()
    assert [step.address for step in found.columns] == ["left", "add"]
    assert found.columns[1][1:5] == ("union of 2 branches", "4", "1", "-0.5")


def test_units_that_differ_are_said_to():
    found = receptive_field(Net(), "add", (1, 9, 9)).steps()
    assert found.rows[-1][1:3] == ("slice", "differs from unit to unit")
    flat = receptive_field(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(9, 2)), "2", (1, 5, 5)).steps()
    assert [step.window for step in flat.rows] == ["3, stride 1, padding 0", "reshape", "everything"]
    assert flat.rows[-1].size == "5"
