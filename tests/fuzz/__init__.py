"""Malformed recipes, files and requests, thousands of them: each gets a clear error or a correct answer."""
