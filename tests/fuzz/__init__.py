"""Malformed recipes, files and requests, thousands of them: each must give a clear error or a valid prediction."""
