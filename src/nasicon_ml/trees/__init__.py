"""Boosted trees as plain arrays: validation, files, evaluation, and conversion from and to XGBoost."""
