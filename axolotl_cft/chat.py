"""`type: axolotl_cft.chat`, which is `type: cft.chat` under a name that needs no registration."""

from axolotl_cft.host.chat import load

__all__ = ["load"]
