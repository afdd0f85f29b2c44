"""The experiments layer: units with their rewards, the gates before a verdict, and the verdict, once."""
