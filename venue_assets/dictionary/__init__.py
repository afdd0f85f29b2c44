"""The data dictionary: every published table and metric, and what analysts ask, as a page per language and as Markdown.

contents.py       what stands in it, from the catalogue, the star, the registry and questions.yaml
questions.py      questions.yaml: analysts' questions with their answers in SQL, M and DAX
dictionary.py     a page per language and dictionary.md, from the templates and the script beside it
"""

from venue_assets.dictionary.dictionary import write_dictionary

__all__ = ["write_dictionary"]
