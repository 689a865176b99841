"""The Tuner: looks for hyperparameters with Optuna. This package is Optuna's only importer.

digest     what a tuned result stands for; pure, so that the plan can ask
space      what a trial tries: project.yaml's `tuning.space`, or the module's `tuner_fn`
job        everything that a worker process needs
storage    the database of the studies
study      which study, its sampler and pruner, and which of its trials count
objective  one trial: suggest, train, report each epoch
trial_run  the trial's MLflow run
worker     trials one after another, in this process
pool       several worker processes
tuner      all of it: a job to a finished study
results    what a study found, as files; `figures` draws it
"""
