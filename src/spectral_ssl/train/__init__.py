"""The training loop, its optimisers and checkpoints, and the job that trains and probes a batch of runs."""
