"""The independent proof of the published numbers: an oracle in plain Python and the adversarial days it is asked about.

Nothing here imports `venue_assets` or `edge_collector`: what two implementations agree on, neither invented.
"""
