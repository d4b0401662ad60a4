"""All that knows Axolotl: plans, plugin, checks, strategies, and what training leaves behind."""
