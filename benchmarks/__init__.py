"""The figures that the README states, measured: `make bench`, or `python -m benchmarks --help`."""
