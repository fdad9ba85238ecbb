from __future__ import annotations

import copy

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import models, nn
from tinygrad_cnn.models.resnet import Bottleneck, ResNet
from tinygrad_cnn.models.vgg import CONFIGURATIONS
from tinygrad_cnn.nn import init
from tinygrad_cnn.surgery import convolution
from tinygrad_cnn.surgery.convolution import convolutionalize
from tinygrad_cnn.surgery.proof import run


class Forward(nn.Module):
    """Parts, and a function that says how to use them."""

    def __init__(self, forward, **parts):
        self.how = (forward,)
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.how[0](self, x)


def plain(dtype=np.float32):
    """Without padding, heights and widths unequal."""
    return nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), stride=(2, 1), dtype=dtype),
        nn.ReLU(),
        nn.MaxPool2d((1, 2)),
        nn.Flatten(),
        nn.Linear(4 * 4 * 4, 7, dtype=dtype),
        nn.BatchNorm1d(7, dtype=dtype),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(7, 5, bias=False, dtype=dtype),
        nn.Softmax(1),
    )


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-12)])
def test_scores_are_those_of_sliding_windows(dtype, bound, trained):
    model = trained(plain(dtype))
    dense = convolutionalize(model, (2, 9, 9))
    assert (dense.window, dense.stride, dense.offset) == ((9, 9), (2, 2), (4.0, 4.0))
    assert dense.error <= bound
    x = np.random.default_rng(5).standard_normal((2, 2, 14, 13)).astype(dtype)
    scores = run(dense.model, x)
    assert scores.shape == (2, 5, 3, 3)
    for i in range(3):
        for j in range(3):
            window = np.ascontiguousarray(x[:, :, 2 * i : 2 * i + 9, 2 * j : 2 * j + 9])
            np.testing.assert_allclose(scores[:, :, i, j], run(model, window), atol=bound)


def test_what_became_of_each_layer():
    model = plain()
    state = copy.deepcopy(model.state_dict())
    dense = convolutionalize(model, (2, 9, 9))
    assert [line.split(":")[0] for line in dense.changes] == ["3", "4", "5", "8"]
    assert "Linear(in_features=64" in dense.changes[1]
    assert "-> Conv2d(4, 7, kernel_size=(4, 4)" in dense.changes[1]
    assert [type(layer).__name__ for layer in dense.model] == [
        "Conv2d", "ReLU", "MaxPool2d", "Identity", "Conv2d", "BatchNorm2d", "ReLU", "Dropout", "Conv2d", "Softmax",
    ]  # fmt: skip
    assert list(dense.model.state_dict()) == list(state)
    assert all((model.state_dict()[name] == state[name]).all() for name in state)
    assert model.training
    assert all(module.training for module in dense.model.modules())
    assert dense.model[4].weight.data.base is not model[4].weight.data
    dense.model[4].weight.data[...] = 0
    assert model[4].weight.data.any()


def test_frozen_weights_stay_frozen_and_no_random_number_is_drawn():
    model = plain()
    model[4].requires_grad_(False)
    with np.errstate(all="raise"):
        from tinygrad_cnn.state import default_generator

        before = default_generator().bit_generator.state
        dense = convolutionalize(model, (2, 9, 9))
        assert default_generator().bit_generator.state == before
    assert not dense.model[4].weight.requires_grad
    assert not dense.model[4].bias.requires_grad
    assert dense.model[8].weight.requires_grad


@pytest.fixture
def quick(monkeypatch):
    """Weights repeat a short row of random numbers, and VGG-11 is narrow: both would take seconds."""
    row = np.random.default_rng(4).standard_normal(10_007).astype(np.float32)

    def fill(w, *args, **kwargs):
        w.data[...] = np.resize(row, w.shape) * (2 / np.prod(w.shape[1:])) ** 0.5

    for name in ("kaiming_uniform_", "kaiming_normal_", "normal_"):
        monkeypatch.setattr(init, name, fill)
    monkeypatch.setitem(CONFIGURATIONS, 11, ((8,), (8,), (16, 16), (16, 16), (16, 512)))


def with_head(block, channels):
    return nn.Sequential(block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


WIDTHS = 8, 4, 4, 6, 4, 6, 4  # of Inception modules, which become 20 channels


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("build", "size", "stride", "line"),
    [
        (models.LeNet5, (1, 28, 28), (4, 4), "classifier.fc1: Linear(in_features=400"),
        (models.SimpleConvNet, (1, 28, 28), (2, 2), "-> Conv2d(30, 100, kernel_size=(12, 12)"),
        (lambda: models.AlexNet(10), (3, 224, 224), (32, 32), "-> Conv2d(256, 4096, kernel_size=(6, 6)"),
        (lambda: models.vgg11(10), (3, 224, 224), (32, 32), "-> Conv2d(512, 4096, kernel_size=(7, 7)"),
        (lambda: models.resnet18(10), (3, 64, 96), (32, 32), "-> AvgPool2d(kernel_size=(2, 3), stride=(1, 1)"),
        (lambda: ResNet(Bottleneck, (1, 1, 1, 1), 10), (3, 64, 96), (32, 32), "fc: Linear(in_features=2048"),
        (lambda: models.GoogLeNet(10), (3, 64, 96), (32, 32), "-> AvgPool2d(kernel_size=(2, 3), stride=(1, 1)"),
        (lambda: models.MobileNetV2(10), (3, 64, 96), (32, 32), "classifier.1: Linear(in_features=1280"),
        (lambda: models.EfficientNetLite0(10), (3, 64, 96), (32, 32), "-> AvgPool2d(kernel_size=(2, 3), stride=(1, 1)"),
        (lambda: with_head(models.InceptionV1(*WIDTHS), 20), (8, 6, 9), (1, 1), "-> AvgPool2d(kernel_size=(6, 9)"),
        (lambda: with_head(models.InceptionV2(*WIDTHS), 20), (8, 6, 9), (1, 1), "-> AvgPool2d(kernel_size=(6, 9)"),
        (lambda: with_head(models.InceptionV3(8, 4), 768), (8, 6, 9), (1, 1), "-> AvgPool2d(kernel_size=(6, 9)"),
    ],
)
def test_classic_networks(build, size, stride, line, trained):
    model = trained(build())
    images = np.random.default_rng(0).standard_normal((2, *size)).astype(np.float32)
    assert run(model, images).std(0).max() > 1e-2  # scores that depend on the image
    dense = convolutionalize(model, size)
    assert line in str(dense)
    assert dense.stride == stride
    assert dense.error < 1e-4
    assert list(dense.model.state_dict()) == list(model.state_dict())
    larger = np.zeros((1, size[0], size[1] + stride[0], size[2] + 3 * stride[1]), np.float32)
    assert run(dense.model, larger).shape == (1, 10, 2, 4)


def test_a_score_map_is_the_head_on_windows_of_the_features(trained):
    model = trained(models.MobileNetV2(5, generator=np.random.default_rng(1)))
    dense = convolutionalize(model, (3, 64, 96))
    x = np.random.default_rng(2).standard_normal((2, 3, 128, 160)).astype(np.float32)
    features, scores = run(model.features.eval(), x), run(dense.model, x)
    assert scores.shape == (2, 5, 3, 3)
    for i, j in np.ndindex(3, 3):
        expected = run(model.classifier, features[:, :, i : i + 2, j : j + 3].mean((2, 3)))
        np.testing.assert_allclose(scores[:, :, i, j], expected, atol=2e-6 * abs(expected).max())


@pytest.mark.parametrize(
    ("size", "pool", "expected", "stride"),
    [
        ((8, 6), 1, "AvgPool2d(kernel_size=(8, 6), stride=(1, 1), padding=0)", (1, 1)),
        ((8, 6), (4, 2), "AvgPool2d(kernel_size=(2, 3), stride=(2, 3), padding=0)", (2, 3)),
        ((7, 6), (3, 6), "AvgPool2d(kernel_size=(3, 1), stride=(2, 1), padding=0)", (2, 1)),  # bins that overlap
        ((8, 6), None, "Identity()", (1, 1)),
    ],
)
def test_adaptive_pools_become_fixed(size, pool, expected, stride, trained):
    cells = {1: 1, (4, 2): 8, (3, 6): 18, None: 48}[pool]
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(pool), nn.Flatten(), nn.Linear(2 * cells, 4))
    dense = convolutionalize(model, (3, *size))
    assert repr(dense.model[1]) == expected
    assert dense.stride == stride


def test_adaptive_maxima_become_fixed_ones():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveMaxPool2d((2, 3)), nn.Flatten(), nn.Linear(12, 4))
    dense = convolutionalize(model, (3, 10, 8))
    assert dense.model[1].kernel_size == (4, 2)
    assert dense.stride == (4, 2)


@pytest.mark.parametrize(("size", "pool"), [((5, 6), 3), ((6, 4), (3, 7)), ((1, 1), 7)])
def test_bins_that_differ_or_repeat_are_no_fixed_pool(size, pool):
    model = nn.Sequential(nn.AdaptiveAvgPool2d(pool), nn.Flatten())
    with pytest.raises(ValueError, match=r"AdaptiveAvgPool2d in 0 pools . pixels into . bins .* an input_size whose"):
        convolutionalize(model, (2, *size))


def test_a_residual_network_with_modules_for_its_head():
    def forward(net, x):
        x = net.stem(x)
        return net.fc(net.flatten(net.pool(F.relu(x + net.block(x)))))

    parts = {"stem": nn.Conv2d(3, 4, 3, 2), "block": nn.Conv2d(4, 4, 1), "pool": nn.AdaptiveAvgPool2d(1)}
    net = Forward(forward, **parts, flatten=nn.Flatten(), fc=nn.Linear(4, 5))
    dense = convolutionalize(net, (3, 9, 11))
    assert dense.stride == (2, 2)
    assert run(dense.model, np.zeros((1, 3, 13, 11), np.float32)).shape == (1, 5, 3, 1)


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda net, x: net.fc(F.flatten(x, 1)), r"Reshape in the model flattens by itself; let an nn\.Flatten"),
        (lambda net, x: net.narrow(x.mean((2, 3))), "Mean in the model pools by itself"),
        (lambda net, x: net.fc(net.flatten(F.adaptive_avg_pool2d(x, 3))), "AdaptiveAvgPool2d in the model pools by"),
        (lambda net, x: F.linear(net.flatten(x), np.ones((2, 18), np.float32)), r"let an nn\.Linear do it"),
    ],
)
def test_what_has_no_module_cannot_be_replaced(forward, message):
    net = Forward(forward, flatten=nn.Flatten(), fc=nn.Linear(18, 4), narrow=nn.Linear(2, 4))
    with pytest.raises((ValueError, RuntimeError), match=message):
        convolutionalize(net, (2, 3, 3))


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 4), nn.InstanceNorm2d(4)], ids=repr)
def test_statistics_of_a_whole_image_are_refused(norm, padding):
    head = nn.Linear(4 * (3 + padding) * (2 + padding), 5)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=padding), norm, nn.MaxPool2d(2), nn.Flatten(), head)
    with pytest.raises(RuntimeError, match=r"(Group|Instance)Norm in 1 normalises by|statistics|differ"):
        convolutionalize(model, (1, 8, 6))


def test_a_module_that_would_have_to_become_two():
    def forward(net, x):
        return net.fc(net.flatten(x)) + net.fc(net.flatten(x.reshape(2, 9, 2, 1)))

    with pytest.raises(ValueError, match="fc is used twice, in two ways"):
        convolutionalize(Forward(forward, flatten=nn.Flatten(), fc=nn.Linear(18, 4)), (2, 3, 3))


def test_a_wrong_result_is_not_returned(monkeypatch):
    right = convolution._convolution

    def wrong(linear, maps):
        conv = right(linear, maps)
        conv.weight = nn.Parameter(conv.weight.data[:, ::-1].copy())  # channels in the wrong order
        return conv

    monkeypatch.setattr(convolution, "_convolution", wrong)
    with pytest.raises(RuntimeError, match="convolutionalize: at the training size: outputs differ by"):
        convolutionalize(plain(), (2, 9, 9))


def test_an_untrained_network_passes_and_a_wrong_layer_in_it_is_refused(monkeypatch):
    model = models.GoogLeNet(10, generator=np.random.default_rng(2))
    assert convolutionalize(model, (3, 64, 96)).spread < 1e-3
    right = convolution._fixed_pool

    def wrong(call):
        pool = right(call)
        return nn.Sequential(pool, nn.BatchNorm2d(1024, eps=1.0))  # divided by the root of 2

    monkeypatch.setattr(convolution, "_fixed_pool", wrong)
    with pytest.raises(RuntimeError, match=r"convolutionalize: .*outputs differ by"):
        convolutionalize(model, (3, 64, 96))


class Add(nn.Module):
    def forward(self, x, y):
        return x + y


HEAD = nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(24, 24)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(*HEAD, nn.Unflatten(1, (2, 4, 3)), nn.Conv2d(2, 3, 3)), r"in 3 makes \(2, 4, 3\) of vectors ag"),
        (
            nn.Sequential(*HEAD, nn.Unflatten(1, (2, 12))),
            r"in 3 makes \(2, 12\) of .*; convolutionalize the part of",
        ),
        (Add(), r"does not take one input of shape \(2, 2, 6, 5\): .*'y'; .* needs a module around it that takes one"),
        (
            nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU()),
            r"maps \(2, 4, 3\), .*: it has no linear head, and takes",
        ),
        (nn.Sequential(*HEAD[:2]), r"no nn\.Linear reads what 1 flattens, maps of \(4, 3\); end the model in one"),
        (nn.Sequential(*HEAD, nn.Flatten(0)), r"must give scores \(N, K\), got shape \(48,\); cut what comes after"),
        (nn.Sequential(HEAD[0], nn.Flatten(2), nn.Linear(12, 3)), r"in 1 turns maps \(2, 2, 4, 3\) into \(2, 2, 12\)"),
        (
            nn.Sequential(HEAD[0], nn.Flatten(), nn.LayerNorm(24)),
            r"where 1 gave vectors there are maps .* in 2",
        ),
        (
            nn.Sequential(HEAD[0], nn.Flatten(), nn.Linear(9, 2)),
            r"not take one input of shape .*: linear in 2: ",
        ),
        (nn.Flatten(), r"the model is a single Flatten; put it into an nn\.Sequential"),
        (
            Forward(lambda net, x: net.fc(net.flat(x.permute(0, 3, 2, 1))), flat=HEAD[1], fc=nn.Linear(60, 3)),
            r"does not take images of 7 x 7: conv2d in fc: .* nn\.Flatten the maps \(N, C, H, W\) as convolutions give",
        ),
    ],
)
def test_networks_that_cannot_become_dense_are_told_where_and_why(model, message):
    with pytest.raises(ValueError, match=f"convolutionalize: .*{message}"):
        convolutionalize(model, (2, 6, 5))


def test_a_layer_that_makes_maps_larger_is_named():
    up = nn.ConvTranspose2d(2, 2, 2, stride=2)
    with pytest.raises(RuntimeError, match="Conv2dInputGrad in 0 has another step"):
        convolutionalize(nn.Sequential(up, nn.Flatten(), nn.Linear(2 * 12 * 10, 3)), (2, 6, 5))


def test_what_depends_on_the_size_of_the_image_is_found_by_its_windows():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Softmax(3), nn.Flatten(), nn.Linear(3 * 3 * 4, 5))
    with pytest.raises(RuntimeError, match=r"the score at \(0, 0\) and its window: outputs differ by.*ceil_mode"):
        convolutionalize(model, (2, 5, 6))


def test_a_wrong_stride_is_not_returned(monkeypatch):
    monkeypatch.setattr(convolution, "_stride", lambda calls: (4, 2))
    with pytest.raises(RuntimeError, match="has 2 x 3 windows of 9 x 9 at stride"):
        convolutionalize(plain(), (2, 9, 9))


@pytest.mark.parametrize(("size", "message"), [((2, 9), "must be \\(C, H, W\\)"), ((2, 9, 10, 11), "\\(C, H, W\\)")])
def test_sizes_that_are_no_images(size, message):
    with pytest.raises(ValueError, match=message):
        convolutionalize(plain(), size)
