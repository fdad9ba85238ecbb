"""Pictures: computation graphs, feature maps, filters, learning curves, confusion matrices."""

from tinygrad_cnn.viz.confusion import confusion_matrix, save_confusion_matrix
from tinygrad_cnn.viz.curves import save_learning_curves
from tinygrad_cnn.viz.features import feature_map_image, save_feature_maps, strongest_image
from tinygrad_cnn.viz.filters import filter_image
from tinygrad_cnn.viz.graph import Graph, draw_graph
from tinygrad_cnn.viz.grid import image_grid
from tinygrad_cnn.viz.most_wrong import save_most_wrong
from tinygrad_cnn.viz.overlay import heat_colours, overlay, signed_colours
from tinygrad_cnn.viz.png import png_bytes, save_png
from tinygrad_cnn.viz.receptive import save_receptive_field

__all__ = [
    "Graph",
    "confusion_matrix",
    "draw_graph",
    "feature_map_image",
    "filter_image",
    "heat_colours",
    "image_grid",
    "overlay",
    "png_bytes",
    "save_confusion_matrix",
    "save_feature_maps",
    "save_learning_curves",
    "save_most_wrong",
    "save_png",
    "save_receptive_field",
    "signed_colours",
    "strongest_image",
]
