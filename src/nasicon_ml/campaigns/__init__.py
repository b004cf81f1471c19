"""Which pellets to make next: goals, what pellets may come to, batches, and the folder of a campaign."""
