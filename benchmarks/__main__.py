"""`python -m benchmarks [cold] [throughput] [probes]`: print the tables; all without arguments.

Machines are shared and noisy: the runs of two sides alternate, and what is quoted is the ratio of their medians.
"""

import sys

from benchmarks import cold_start, probes, throughput

PARTS = {"cold": cold_start.main, "throughput": throughput.main, "probes": probes.main}


def main() -> None:
    """Run the parts that were named, or all."""
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()
        print()


if __name__ == "__main__":
    main()
