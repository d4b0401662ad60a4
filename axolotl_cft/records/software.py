"""The software and the devices that trained."""

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
