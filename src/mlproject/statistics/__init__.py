"""Statistics of the Examples, by TFDV's own combiners fed with large record batches.

The artifact:

    Split-train/stats.pb                    a serialized DatasetFeatureStatisticsList: one dataset,
                                            or, with slices, 'All Examples' and one for each slice
    Split-train/span-0000000012/stats.pb    the same of each span, where a split has several
    Split-eval/stats.pb
    figures/                                histograms of every feature, a table, a report

    options.py         what is asked for, and the module file's word in it
    compute.py         Examples -> Statistics
    sample.py          which rows, where not all count
    slices.py          rows by the values of columns
    weights.py         rows that count more than others
    combiner.py        TFDV's combiners over batches, columns side by side
    value_counts.py    top values and distinct values
    files.py           the artifact
"""

from mlproject.statistics.compute import compute_statistics, statistics_of_batches
from mlproject.statistics.files import STATISTICS_FILE, read_statistics, span_numbers
from mlproject.statistics.options import StatisticsOptions, StatsType, Updater, user_updater

__all__ = [
    "STATISTICS_FILE",
    "StatisticsOptions",
    "StatsType",
    "Updater",
    "compute_statistics",
    "read_statistics",
    "span_numbers",
    "statistics_of_batches",
    "user_updater",
]
