"""What results/report.html shows, and how it is put together: one file that asks nothing of a network."""
