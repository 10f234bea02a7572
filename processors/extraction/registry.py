"""Which extractors there are: entry points in the group ``melisma.extractors``.

The product's own are found the same way as those that other packages bring. One that can't be
imported or is no extractor is reported by name and hurts no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from processors.extraction.extractor import Extractor

GROUP = "melisma.extractors"
OPTIONAL = frozenset({"clap"})
"""Not run unless asked for: they need weights that the product does not carry."""
_PARTS = ("name", "version", "device", "description", "cost", "extract")


@dataclass(frozen=True, slots=True)
class Registry:
    """``extractors`` by name in a fixed order; ``broken`` maps a name to what is wrong with it."""

    extractors: Mapping[str, Extractor]
    broken: Mapping[str, str]

    def usual(self) -> tuple[str, ...]:
        """What is run when nobody names any."""
        return tuple(name for name in self.extractors if name not in OPTIONAL)


def discover() -> Registry:
    """Look them up anew; cheap but for the imports, which Python keeps."""
    found: dict[str, Extractor] = {}
    broken: dict[str, str] = {}
    for point in sorted(entry_points(group=GROUP), key=_order):
        try:
            made = _made(point)
        # a package that somebody installed may do anything when it is imported
        except Exception as error:
            broken.setdefault(point.name, f"it can't be loaded ({type(error).__name__})")
            continue
        if isinstance(made, str):
            broken.setdefault(point.name, made)
        elif point.name in found:
            broken.setdefault(point.name, "two packages bring an extractor of this name")
        else:
            found[point.name] = made
    return Registry(found, {name: why for name, why in broken.items() if name not in found})


def _order(point: EntryPoint) -> tuple[bool, str, str]:
    """The product's own first, so that another package can't take their names."""
    return not point.value.startswith("processors.extraction."), point.name, point.value


def _made(point: EntryPoint) -> Extractor | str:
    made = point.load()()
    missing = [part for part in _PARTS if not hasattr(made, part)]
    if missing:
        return f"it is no extractor: {', '.join(missing)} missing"
    if made.name != point.name:
        return f"its entry point is '{point.name}', but it calls itself '{made.name}'"
    extractor: Extractor = made
    return extractor
