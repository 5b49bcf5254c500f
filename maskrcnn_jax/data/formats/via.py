"""VGG Image Annotator (VIA 1 and 2), which matterport's balloon dataset was made with."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from maskrcnn_jax.data.decode import read_size
from maskrcnn_jax.data.formats.dataset import ImportedCategory, ImportedDataset, ImportedImage, ImportedObject
from maskrcnn_jax.data.formats.outlines import ellipse, finite_numbers, rectangle
from maskrcnn_jax.data.image_folder import leaves_folder, refuse_long
from maskrcnn_jax.data.json_file import read_json
from maskrcnn_jax.data.source import DataError
from maskrcnn_jax.errors import first_few


def read_via(source: Path, *, images: Path | None = None, labels: Sequence[str] = (), attribute: str | None = None) -> ImportedDataset:
    """A VIA project or its exported annotations, as JSON: polygons, closed polylines, rectangles, circles and ellipses.

    Regions may be a list (VIA 2) or numbered in a dict (VIA 1). Their class is the value of a region attribute, or one class is
    given for all. Sizes are those of the image files, as a browser turns them.

    Args:
      source: the JSON file.
      images: the image folder; by default that of the JSON.
      labels: the classes in the order of their ids; by default those that occur, sorted. One without `attribute`: the class of
        every region, whatever its attributes.
      attribute: the region attribute that holds the class; by default the only one that occurs.

    Raises:
      DataError: not VIA's JSON; a missing or unreadable image; a region without class, or of one not among `labels`; shapes
        whose numbers are missing or not finite.
    """
    folder = images or source.parent
    files = list(_files(source, read_json(source)))
    only = labels[0] if len(labels) == 1 and attribute is None else None
    key = attribute or ("" if only else _only_attribute(source, [region for _, regions in files for region in regions.values()]))
    notes: list[str] = []
    read: list[ImportedImage] = []
    for name, regions in files:
        found = []
        for number, region in regions.items():
            where = f"{source}: {name}, region {number}"
            polygon = _polygon(region, where)
            if polygon is None:
                notes.append(f"{where}: left out: a {region['shape_attributes']['name']} has no area")
            else:
                found.append(ImportedObject(where, only or _label(region, key, where), [polygon]))
        if leaves_folder(name):
            raise DataError(f"{source}: {name!r} leaves the image folder {folder}; give a folder that holds all images by --images")
        try:
            size = read_size(folder / name)
        except DataError as error:
            raise DataError(f"{source}: {name}: {error}") from None
        read.append(ImportedImage(name, size, tuple(found)))
    occurring = labels or sorted({found.label for image in read for found in image.objects})
    return ImportedDataset(source, folder, tuple(ImportedCategory(label) for label in occurring), tuple(read), tuple(notes))


def _files(source: Path, document: Any) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """File name and numbered regions of each image, checked for their form."""
    entries = document.get("_via_img_metadata", document) if isinstance(document, dict) else None
    if not isinstance(entries, dict) or "vid_list" in entries or "view" in entries:
        raise DataError(f"{source}: not a VIA 1 or 2 project or export; export the annotations as JSON, of VIA 3 as COCO")
    for key, entry in entries.items():
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            raise DataError(f"{source}: entry {key!r:.80} has no `filename`; export the annotations from VIA as JSON")
        refuse_long(f"{source}: entry {key!r:.80}: `filename`", name)
        regions = entry.get("regions", {})
        if isinstance(regions, list):
            regions = {str(i): region for i, region in enumerate(regions)}
        if not isinstance(regions, dict):
            raise DataError(f"{source}: {name}: regions are neither a list nor a dict; export the annotations from VIA as JSON")
        for number, region in regions.items():
            parts = (region.get("shape_attributes"), region.get("region_attributes", {})) if isinstance(region, dict) else ()
            if not parts or not all(isinstance(part, dict) for part in parts):
                raise DataError(f"{source}: {name}, region {number}: no `shape_attributes`; export the annotations from VIA as JSON")
        yield name, regions


def _only_attribute(source: Path, regions: Sequence[dict[str, Any]]) -> str:
    keys = sorted({key for region in regions for key in region.get("region_attributes", {})})
    if len(keys) > 1:
        raise DataError(f"{source}: regions have the attributes {first_few(keys)}; name the one that holds the class by --attribute")
    if regions and not keys:
        raise DataError(f"{source}: regions have no attributes and so no class; give the one class by --labels")
    return keys[0] if keys else ""


def _label(region: dict[str, Any], key: str, where: str) -> str:
    """The value of the attribute: text, or of checkboxes {value: true} the one that is ticked."""
    value = region.get("region_attributes", {}).get(key)
    if isinstance(value, dict):
        ticked = [name for name, is_ticked in value.items() if is_ticked]
        value = ticked[0] if len(ticked) == 1 else None
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: attribute {key!r} names no class; fill it in, with one class, or name another by --attribute")
    return value.strip()


def _polygon(region: dict[str, Any], where: str) -> list[float] | None:
    """The outline, or None of a shape without area."""
    shape = region["shape_attributes"]
    kind = shape.get("name")
    if kind in ("polygon", "polyline"):
        return _interleaved(shape, where)
    if kind == "rect":
        x, y, width, height = _numbers(shape, ("x", "y", "width", "height"), where)
        return rectangle(x, y, x + width, y + height)
    if kind in ("circle", "ellipse"):
        x, y, radius_x, radius_y = _numbers(shape, ("cx", "cy", *(("r", "r") if kind == "circle" else ("rx", "ry"))), where)
        if radius_x < 0 or radius_y < 0:
            raise DataError(f"{where}: a radius is negative; correct it, or remove the region")
        return ellipse(x, y, radius_x, radius_y, *finite_numbers([shape.get("theta", 0)], where))
    if kind != "point":
        raise DataError(f"{where}: unknown shape {kind!r:.40}; draw it as polygon, polyline, rect, circle or ellipse, or remove the region")
    return None


def _interleaved(shape: dict[str, Any], where: str) -> list[float]:
    xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
        raise DataError(f"{where}: all_points_x and all_points_y are not lists of one length; correct them, or remove the region")
    return finite_numbers([value for point in zip(xs, ys, strict=True) for value in point], where)


def _numbers(shape: dict[str, Any], keys: Sequence[str], where: str) -> list[float]:
    for key in keys:
        if key not in shape:
            raise DataError(f"{where}: the {shape['name']} has no {key}; correct it, or remove the region")
    return finite_numbers([shape[key] for key in keys], where)
