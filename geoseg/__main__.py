"""``python -m geoseg``: the command."""

from geoseg.cli.main import main

if __name__ == "__main__":
    main()
