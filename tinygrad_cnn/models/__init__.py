"""Classic networks, a page each, to read and to use as they are."""

from tinygrad_cnn.models.alexnet import AlexNet, AlexNet2012
from tinygrad_cnn.models.efficientnet import EfficientNetLite0
from tinygrad_cnn.models.fast_rcnn import FastRCNNHead
from tinygrad_cnn.models.fcn import FCN
from tinygrad_cnn.models.googlenet import GoogLeNet
from tinygrad_cnn.models.inception import InceptionV1, InceptionV2, InceptionV3
from tinygrad_cnn.models.lenet import LeNet5
from tinygrad_cnn.models.lenet_1998 import LeNet5_1998
from tinygrad_cnn.models.mobilenet import MobileNetV2
from tinygrad_cnn.models.resnet import ResNet, resnet18, resnet34, resnet50, resnet101, resnet152
from tinygrad_cnn.models.simple_conv_net import SimpleConvNet
from tinygrad_cnn.models.spp import SPPHead
from tinygrad_cnn.models.vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

__all__ = [
    "FCN",
    "VGG",
    "AlexNet",
    "AlexNet2012",
    "EfficientNetLite0",
    "FastRCNNHead",
    "GoogLeNet",
    "InceptionV1",
    "InceptionV2",
    "InceptionV3",
    "LeNet5",
    "LeNet5_1998",
    "MobileNetV2",
    "ResNet",
    "SPPHead",
    "SimpleConvNet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]
