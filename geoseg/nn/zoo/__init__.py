"""The list of networks: their builders, options, costs and published weights."""
