"""The Power BI project: a semantic model and a report, generated from the registry of metrics and the star schema.

What does not belong here: definitions of metrics and tables (semantic_layer), and the files that it loads (publish).
"""
