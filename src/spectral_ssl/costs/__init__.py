"""What a tier will cost, from the costs of finished runs: predictions before anything runs. Imports no torch."""
