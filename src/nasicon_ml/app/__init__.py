"""The pages of ``nasicon-ml app``: what the command line calls, shown in the browser. Nothing is computed here."""
