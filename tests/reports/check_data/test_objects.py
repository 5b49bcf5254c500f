import numpy as np

from maskrcnn_jax.reports.check_data.objects import Objects, inspect_objects
from maskrcnn_jax.structs import Category


def test_an_object_that_is_there_a_hundred_times_is_told_once_a_copy():
    """All pairs would be 4950, with two masks drawn for each."""
    shapes = np.zeros((2, 40, 60), np.uint8)
    shapes[0, 5:15, 5:15] = 1
    shapes[1, 20:30, 20:50] = 1
    drawn = []

    def mask(k):
        drawn.append(k)
        return shapes[k % 2]

    boxes = ([5, 5, 15, 15], [20, 20, 50, 30])
    objects = Objects(
        ids=list(range(200)),
        labels=[1] * 200,
        crowd=[False] * 200,
        polygons=[[]] * 200,
        mask=mask,
        box=lambda k, mask: np.array(boxes[k % 2], np.float32),
    )
    faults = []
    assert len(inspect_objects(objects, [Category(1, "cell")], faults)) == 200
    assert [fault.ids for fault in faults] == [(k % 2, k) for k in [*range(2, 200, 2), *range(3, 200, 2)]]
    assert {fault.kind for fault in faults} == {"duplicate-annotation"}
    assert len(drawn) < 5 * 200
