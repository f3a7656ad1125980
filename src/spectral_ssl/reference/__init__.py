"""Results of long runs that are committed: the list of what to run, and how what is finished is kept."""
