"""What changes in the levels of an image when a region of it does."""

from daskome.kernels.methods import METHODS
from daskome.model.axes import parse_axes
from daskome.model.image import Image
from daskome.model.pyramid import image_pyramid
from daskome.ome.versions import VERSIONS
from daskome.planning.groups.passes import Changing, changed_parts


def test_what_a_codec_loses_of_a_change_that_was_not_completed_counts_for_its_objects() -> None:
    image = Image((64, 64), "uint8", parse_axes("yx", 2), (1.0, 1.0), (0.0, 0.0))
    pyramid = image_pyramid(image, METHODS["mean"], [2], {"chunks": 8}, VERSIONS["0.5"].arrays)
    left, given, shapes = ((1, 18), (0, 8)), ((1, 2), (0, 8)), ((64, 64), (32, 32))
    for exact, changed in ((True, ((0, 9), (0, 4))), (False, ((0, 12), (0, 4)))):
        _, above = changed_parts(pyramid, Changing(left, given, shapes, [exact, True]))
        assert above.changed == changed
