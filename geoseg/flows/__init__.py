"""What the flows in ``flows/`` share: reporting to Prefect that never stops the work, and how a flow ends."""
