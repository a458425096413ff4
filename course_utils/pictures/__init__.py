"""The pictures of the lessons: numbers and labels in, a figure or a view out. Nothing here knows a model."""

VIEW_TYPE = "application/vnd.course.view+json"
"""Under this type a notebook's output holds the data of a view; see :mod:`course_utils.pictures.views`."""
