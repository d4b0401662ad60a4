"""`type: axolotl_cft.strategy`, which is `type: cft` under a name that needs no registration."""

from axolotl_cft.host.documents import load

__all__ = ["load"]
