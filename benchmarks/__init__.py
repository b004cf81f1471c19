"""The benchmark of accuracy: what the models are worth beside what others would use, on the same folds.

`make benchmark-accuracy` runs it; `python -m benchmarks.accuracy --help` says what else it can do.
"""
