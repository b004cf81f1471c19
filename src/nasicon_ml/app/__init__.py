"""The pages of ``nasicon-ml app``, which show results in the browser but compute nothing."""
