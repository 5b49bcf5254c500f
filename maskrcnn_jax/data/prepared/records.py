"""Images with their rows <-> records of a tensorflow-datasets dataset in ArrayRecord, without TensorFlow.

Its GeneratorBasedBuilder is not used, for it sorts what is over a gigabyte in files that TensorFlow writes.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.source import DataError

NAME, SPLIT, VERSION = "maskrcnn_prepared", "images", "1.0.0"
"""Of the dataset, as tensorflow-datasets calls it. Another version is not read."""
WRITTEN_AT_ONCE = 32 << 20  # bytes
FILE_LENGTH = 256 << 20  # bytes
_OWN_OF_IMAGES = ("id", "file_name", "height", "width")
_OWN_OF_OBJECTS = ("id", "image_id", "category_id", "iscrowd", "bbox", "segmentation")


class Record(NamedTuple):
    """An image: the `content` of its file, its row of a COCO file, and those of its annotations, with compressed RLEs."""

    content: bytes
    image: dict[str, Any]
    annotations: list[dict[str, Any]]

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.image["height"], self.image["width"]


def packed(segmentation: Any, height: int, width: int) -> dict[str, Any]:
    """A segmentation that `covers_pixels` has checked as compressed RLE, ready for JSON; of polygons that which pycocotools draws."""
    if isinstance(segmentation, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        rle = coco_mask.frPyObjects(segmentation, height, width)
    else:
        return segmentation
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


def write_records(folder: Path, records: Iterable[Record], count: int, length: int) -> None:
    """Write records to an existing empty folder.

    Args:
      folder: the folder.
      records: in the order in which they are read.
      count: their number.
      length: bytes of all contents together, by which records are dealt out to files.

    Raises:
      OSError: a file cannot be written.
    """
    tfds = _library()
    identity = tfds.core.dataset_info.DatasetIdentity(
        name=NAME, version=tfds.core.Version(VERSION), data_dir=str(folder), module_name=__name__
    )
    info = tfds.core.DatasetInfo(builder=identity, features=_features(tfds.features), disable_shuffling=True)
    in_a_file = max(1, count * FILE_LENGTH // max(length, FILE_LENGTH))
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=in_a_file, file_format="array_record")
    writer.initialize_splits([SPLIT])
    try:
        for some in _at_once(records):
            writer.add_examples({SPLIT: [_encoded(record) for record in some]})
        writer.close_all()
    except RuntimeError as error:  # all that ArrayRecord raises
        raise OSError(f"{folder}: the records cannot be written ({error})") from error


def open_records(folder: Path) -> Sequence[Any]:
    """The records of a folder, to be given to `decoded` one by one; may be read by several threads.

    Raises:
      DataError: no dataset of this name and version.
    """
    tfds = _library()
    try:
        builder = tfds.builder_from_directory(folder)
        if (builder.name, str(builder.version)) != (NAME, VERSION):
            raise ValueError(f"it is {builder.name} {builder.version}, not {NAME} {VERSION}")
        return builder.as_data_source(SPLIT)
    except Exception as error:
        raise DataError(f"{folder}: no dataset that can be read ({error}); prepare the data anew") from error


def decoded(example: dict[str, Any]) -> Record:
    """The record of an example as tensorflow-datasets reads it."""
    size = [example["height"], example["width"]]
    image = {"id": example["image_id"], "file_name": example["file_name"].decode(), "height": size[0], "width": size[1]}
    objects = example["objects"]
    columns = (objects["id"], objects["category_id"], objects["iscrowd"], objects["segmentation"], objects["fields"])
    rows = []
    for k, (id_, category_id, crowd, counts, fields) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        row = {"id": id_, "image_id": image["id"], "category_id": category_id, "iscrowd": int(crowd)}
        row["segmentation"] = {"size": size, "counts": counts.decode()}
        if not np.isnan(objects["bbox"][k, 0]):
            row["bbox"] = objects["bbox"][k].tolist()
        rows.append(row | json.loads(fields))
    return Record(example["image"], image | json.loads(example["fields"]), rows)


def _encoded(record: Record) -> dict[str, Any]:
    image, rows = record.image, record.annotations
    numbers = {
        "id": np.array([row["id"] for row in rows], np.int64),
        "category_id": np.array([row["category_id"] for row in rows], np.int64),
        "iscrowd": np.array([row.get("iscrowd", 0) for row in rows], np.bool_),
        "bbox": np.array([row.get("bbox") or [np.nan] * 4 for row in rows], np.float64).reshape(-1, 4),
    }
    texts = {
        "segmentation": [row["segmentation"]["counts"] for row in rows],
        "fields": [_others(row, _OWN_OF_OBJECTS) for row in rows],
    }
    return {
        "image": record.content,
        "file_name": image["file_name"],
        "image_id": image["id"],
        "height": image["height"],
        "width": image["width"],
        "fields": _others(image, _OWN_OF_IMAGES),
        "objects": numbers | texts,
    }


def _others(row: dict[str, Any], own: Sequence[str]) -> str:
    return json.dumps({key: value for key, value in row.items() if key not in own})


def _at_once(records: Iterable[Record]) -> Iterable[list[Record]]:
    """Records in lists of about WRITTEN_AT_ONCE bytes, for with each list the dataset's description is written again."""
    some: list[Record] = []
    length = 0
    for record in records:
        some.append(record)
        length += len(record.content)
        if length >= WRITTEN_AT_ONCE:
            yield some
            some, length = [], 0
    yield some


def _library() -> Any:
    """tensorflow-datasets, which is imported where it is needed: it takes a second."""
    try:
        import tensorflow_datasets as tfds
        from array_record.python import array_record_module  # noqa: F401  # or else it is missed later, in other words
    except ImportError as error:
        raise DataError(
            f"prepared datasets need tensorflow-datasets and array_record ({error}); use Linux or macOS, for which both are published"
        ) from error
    return tfds


def _features(features: Any) -> Any:
    """Those of the dataset; `features` is the module."""

    def column(dtype: Any, *sides: int) -> Any:
        """A row an object. tf.train.Example has no float64: those are kept as bytes."""
        return features.Tensor(shape=(None, *sides), dtype=dtype, encoding="bytes" if dtype is np.float64 else "none")

    return features.FeaturesDict(
        {
            "image": features.Tensor(shape=(), dtype=np.object_),
            "file_name": features.Text(),
            "image_id": np.int64,
            "height": np.int64,
            "width": np.int64,
            "fields": features.Text(),
            "objects": {
                "id": column(np.int64),
                "category_id": column(np.int64),
                "iscrowd": column(np.bool_),
                "bbox": column(np.float64, 4),
                "segmentation": column(np.object_),
                "fields": column(np.object_),
            },
        }
    )
