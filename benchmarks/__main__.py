"""`python -m benchmarks [NAME ...]`: as `python -m local bench --only NAME`."""

import sys

from benchmarks import run

if __name__ == "__main__":
    sys.exit(run.run(sys.argv[1:]))
