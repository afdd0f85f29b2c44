"""Counting people: from what sensors say to who went in and out. Pure: state in, state out.

totals.py    what a device counted in an interval, from the running totals in its frames
voices.py    what is said under one address, and whether it can all come from one run of one device
pairing.py   who crossed in which direction, from the triggers of two sensors

What does not belong here: reading frames (`codecs`), keeping the state (`intake`, `spool`).
"""
