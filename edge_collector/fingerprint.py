"""What tells that a file has changed, without reading it.

What does not belong here: what is done then.
"""

from __future__ import annotations

import os

Fingerprint = tuple[int, int, int]
"""Size, and the times of the last change of content and of name or rights, in nanoseconds.

The last one tells a file that was put in the place of another of the same size and time, and one that can be read now.
"""


def fingerprint(status: os.stat_result) -> Fingerprint:
    """Of what `stat` says."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
