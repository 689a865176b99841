"""The profile of a split: one HTML page that needs no network and no other file.

report.py        what the page shows, and writing it
features.py      a feature's statistics as plain values
rows.py          copies among the rows, and a sample of them
relations.py     how features go together and with the label
correlation.py   codes.py   contingency.py    the measures
page.py          the page
charts.py        its pictures
style.py         what it adds to the look of all pages (mlproject/webpage), and its script
"""

from mlproject.profile.content import Profile, Side
from mlproject.profile.report import PIPELINE_ROWS, PROFILE_FILE, write_profile

__all__ = ["PIPELINE_ROWS", "PROFILE_FILE", "Profile", "Side", "write_profile"]
