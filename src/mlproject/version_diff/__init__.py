"""How two registered versions differ, from what MLflow holds of them and nothing else.

Imports pyarrow: import it where versions are compared.

values.py       what a comparison gives
evidence.py     what is recorded of one version
compare.py      all of it compared
standing.py     tags: stage, blessing, parents, digests; source, spans, rows
parameters.py   configuration and hyperparameters
statistics.py   the data's features
schema.py       the data's rules
metrics.py      overall and by slice
code.py         recorded files, line by line
words.py        what the terminal and the page say alike
page.py         an HTML page
"""

from mlproject.version_diff.compare import compare_versions
from mlproject.version_diff.evidence import Evidence, read_evidence
from mlproject.version_diff.result import DIFFERENT, VersionDiff
from mlproject.version_diff.values import SAME, UNJUDGED

__all__ = [
    "DIFFERENT",
    "SAME",
    "UNJUDGED",
    "Evidence",
    "VersionDiff",
    "compare_versions",
    "read_evidence",
]
