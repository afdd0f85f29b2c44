"""The tables: one `.sql` beside one `.yaml` contract each, in a folder per layer; `catalogue` reads them.

raw/ what landed, judged · clean/ records that hold · behaviour/ what people did · metrics/ figures
segments/ who the users are · experiments/ what was tried, and what came of it
"""


class CatalogueError(ValueError):
    """A contract that is wrong, or does not fit its SQL. The message names the file."""
