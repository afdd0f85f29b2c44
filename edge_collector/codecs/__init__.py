"""Codecs: what devices send, as bytes, and the readings it holds. One module for each way of speaking.

Every codec keeps four promises. It does no I/O and keeps nothing between calls, but for the record service, whose
records come in pieces. Whatever bytes it is given, it raises nothing: what it cannot or must not take is returned as
`Dropped`, with one of the reasons in `refusals`. No image, template or embedding gets past it, and no member number
appears in a key or a detail. And it judges only form: what a venue makes of a well-formed reading is decided later.

What does not belong here: receiving bytes (`sources`), what counts as new (`counting`), identities (`intake`).
"""
