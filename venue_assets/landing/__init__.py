"""The landing service: gateways bring segments over HTTP and fetch tomorrow's shares.

tokens.py       which gateway a token is; the file of token hashes and public keys
limits.py       how much, how fast and how slowly one may send
receive.py      a segment and its manifest, judged and then written: both or neither
allocations.py  which allocation file a gateway gets
service.py      the ASGI application: requests in, sentences out
server.py       sockets, TLS, signals

It writes the same layout as every other writer of `landing/`, so readers need not know that it exists. What does not
belong here: what a segment is (`edge_collector.segment`), what becomes of it (`venue_assets.lake`).
"""
