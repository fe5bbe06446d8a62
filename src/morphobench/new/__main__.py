"""`make new NAME=mine FROM=folder_or_table [WEIGHTS_FROM=...]`: write the yaml of a data set of one's own."""

import logging
import sys
from pathlib import Path

from morphobench.errors import InputError
from morphobench.new import write


def main(arguments: list[str]) -> int:
    """Write the data set and print what was found; return 1, with the reason, where that cannot be."""
    if not 2 <= len(arguments) <= 3 or not all(arguments[:2]):
        print("Give both: make new NAME=mine FROM=folder_or_table", file=sys.stderr)
        return 1
    # Of a truncated TIFF it repeats a line for every page; the error says it once.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        print(write.run(arguments[0], Path(arguments[1]), weights="".join(arguments[2:])))
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
