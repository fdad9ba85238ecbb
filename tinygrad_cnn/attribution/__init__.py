"""Why a network says what it says: maps of which pixels and which places mattered."""

from tinygrad_cnn.attribution.cam import cam, grad_cam, grad_cam_pp, layer_cam
from tinygrad_cnn.attribution.gradients import gradient_x_input, integrated_gradients, saliency, smooth_grad
from tinygrad_cnn.attribution.guided import deconvnet, guided_backprop
from tinygrad_cnn.attribution.maximise import Maximized, maximize_activation
from tinygrad_cnn.attribution.occlusion import occlusion
from tinygrad_cnn.attribution.result import Attribution

__all__ = [
    "Attribution",
    "Maximized",
    "cam",
    "deconvnet",
    "grad_cam",
    "grad_cam_pp",
    "gradient_x_input",
    "guided_backprop",
    "integrated_gradients",
    "layer_cam",
    "maximize_activation",
    "occlusion",
    "saliency",
    "smooth_grad",
]
