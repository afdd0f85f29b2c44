"""The raw layer: what landed, line by line, judged by the rules of the landing contract."""
