"""axolotl-cft."""
