"""Campaigns: goals, candidates, batches of pellets to make next, and the folder of a campaign."""
