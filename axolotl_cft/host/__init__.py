"""All that knows Axolotl: plans, plugin, checks, strategies, and what a training leaves behind."""
