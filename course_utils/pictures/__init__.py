"""The pictures of the lessons: numbers and labels in, a figure out. Nothing here knows a model."""
