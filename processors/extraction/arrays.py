"""Arrays of an extractor in one ``.npz``: the same arrays make the same bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from processors.arrays import MEDIA_TYPE
from schemas.documents.audio_manifest import ArrayFacts, ArrayFile
from topics.artifacts.files import new_file

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that ZIP can say; numpy would write the time of day


def write_arrays(
    folder: Path,
    name: str,
    arrays: Mapping[str, npt.NDArray[Any]],
    units: Mapping[str, str],
    *,
    durable: bool = True,
) -> ArrayFile:
    """Write ``{name}.npz`` whole or not at all, on disk when this returns unless it is a passing
    copy (not ``durable``). Raises ``OSError`` or `StoreFull`."""
    file_name = f"{name}.npz"
    with new_file(folder, file_name) as file:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for key, array in arrays.items():
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, np.asanyarray(array), allow_pickle=False)
                archive.writestr(
                    zipfile.ZipInfo(f"{key}.npy", _EPOCH),
                    buffer.getvalue(),
                    zipfile.ZIP_DEFLATED,
                    compresslevel=1,
                )
        file.write(packed.getvalue())
        file.publish(folder / file_name, durable=durable)
        return ArrayFile(
            name=file_name,
            uri=file_name,
            media_type=MEDIA_TYPE,
            bytes=file.bytes,
            sha256=file.sha256,
            arrays={
                key: ArrayFacts(
                    shape=tuple(array.shape), dtype=str(array.dtype), unit=units.get(key, "")
                )
                for key, array in arrays.items()
            },
        )
