"""HTML pages that need no network and no other file, and in which no text of the data can run.

document.py    the page around its content
style.py       the look that all pages share
text.py        numbers and texts, short and safe
"""

from mlproject.webpage.document import document

__all__ = ["document"]
