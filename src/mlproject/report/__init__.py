"""What people read about a candidate: the evaluation report and the model card.

about.py              the model, its run and its data
content.py            what the report holds
artifacts.py          the same, read from the artifacts of the steps
evaluation_report.py  the report as one HTML file
slice_table.py        its table of slices
evidence.py           its cases, server trial, importance and thresholds
stated.py             what is known, as names and texts
captions.py           what each figure shows
judgement.py          better, worse, not clear, could not judge
style.py              its look and its script
model_card.py         the model card as Markdown, and as HTML
card_content.py       what the card says
card_blocks.py        its texts, lists and tables in both forms
"""

from mlproject.report.about import About, DataAbout, FeatureAbout
from mlproject.report.artifacts import report_from_artifacts
from mlproject.report.content import EvaluationReport
from mlproject.report.evaluation_report import write_evaluation_report
from mlproject.report.model_card import ModelCard, model_card

__all__ = [
    "About",
    "DataAbout",
    "EvaluationReport",
    "FeatureAbout",
    "ModelCard",
    "model_card",
    "report_from_artifacts",
    "write_evaluation_report",
]
