"""The software and the devices that trained, and how two trainings differ in them."""

from collections.abc import Sequence

from pydantic import Field

from axolotl_cft.records.base import RecordPart


class Software(RecordPart):
    """What one session of a training ran on.

    Attributes:
        versions: of the packages that decide the outcome, by name.
        cuda: the CUDA version that torch was built for; None without one.
        devices: model of GPU (or "cpu") -> training processes on one; together the world size.
    """

    versions: dict[str, str] = Field(default_factory=dict)
    cuda: str | None = None
    devices: dict[str, int] = Field(default_factory=dict)


def software_difference(ours: Sequence[Software], theirs: Sequence[Software]) -> str | None:
    """How the software of two trainings differs, for a sentence.

    Args:
        ours: of every session of a training that was resumed under other conditions; one otherwise.
        theirs: the same of another training.

    Returns:
        `torch 2.12.0 against 2.13.0, devices 8 × A against 8 × B`; None where they do not differ,
        or one of the two is not known.
    """
    if not ours or not theirs:
        return None
    here, there = [[_aspects(part) for part in parts] for parts in (ours, theirs)]
    found = []
    for name in dict.fromkeys(name for part in here + there for name in part):
        one, other = (_in_turn([part.get(name, "none") for part in side]) for side in (here, there))
        if one != other:
            found.append(f"{name} {one} against {other}")
    return ", ".join(found) or None


def _aspects(part: Software) -> dict[str, str]:
    devices = [f"{count} × {model}" for model, count in sorted(part.devices.items())]
    rest = {"CUDA": part.cuda or "none", "devices": " and ".join(devices) or "none"}
    return part.versions | rest


def _in_turn(values: list[str]) -> str:
    return " then ".join(dict.fromkeys(values))
