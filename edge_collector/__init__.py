"""The edge: what a gateway and the venue system must agree on, and what a gateway runs.

Owns the record contract, segments, the site file, pseudonyms, event time and column maps.
Never imports `venue_assets`: a gateway installs this package's dependencies only.
"""
