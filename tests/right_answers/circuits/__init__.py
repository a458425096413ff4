"""Right answers to the exercises of one lesson."""
