"""See docs/bundle.md."""
