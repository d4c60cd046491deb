"""Figures with targets, each measured on real parts. ``make bench`` prints them side by side."""
