"""Boosted trees as plain arrays: their checks, their files, their evaluation; from XGBoost and to it."""
