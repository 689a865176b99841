"""Where registered models are deployed: `local`, `docker`, `kubernetes` and `gcs`.

`base` says what a deployment is and what a target does, `desired` reads from the registry what is
to be served, `rollout` brings a running server to it without a failed request.
"""
