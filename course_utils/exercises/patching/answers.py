"""The two answers that lesson 6 compares where no others are given."""

NAMES = (" Mike", " Emma")
