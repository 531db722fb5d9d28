"""Deploying ``prefect.yaml``: check everything first, then deploy, then pre-select the policies in the run form."""
