"""Pictures: tables as SVG for people who look rather than read.

Drawing only: what is drawn was computed elsewhere, or is asked of the tables that the drawn one was made of.
"""
