"""A model version made again from what is recorded of it, and compared with it.

environment.py       where a model was trained: recorded by every training
recorded.py          what a version was made of: tags, evidence, runs
hyperparameters.py   those it was trained with, from what MLflow keeps as text
git_files.py         files of a git commit
scratch_project.py   the project as it was, in a folder of its own
scratch_config.py    its configuration
replan.py            its plan
compare.py           metrics, predictions and weights of the two models
reasons.py           why they differ, or may
values.py            gaps and the verdict
"""

from mlproject.reproduction.values import TOLERANCE, Comparison, Reproduction, Verdict

__all__ = ["TOLERANCE", "Comparison", "Reproduction", "Verdict"]
