"""`python -m xtool`."""

from xtool.cli import main

if __name__ == "__main__":
    main()
