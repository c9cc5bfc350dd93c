"""Spread the blocks over workers and keep the plan of what is left to do."""
