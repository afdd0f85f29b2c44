"""`python -m edge_collector` is `edge-collector`."""

from edge_collector.cli import main

main()
