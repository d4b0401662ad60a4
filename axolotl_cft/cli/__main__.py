"""`python -m axolotl_cft.cli` is `axolotl-cft`: for jobs that name their interpreter."""

from axolotl_cft.cli import main

if __name__ == "__main__":
    main(prog_name="axolotl-cft")
