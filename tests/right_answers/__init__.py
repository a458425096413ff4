"""Right answers in other styles than the reference's, at least six to an exercise, as learners write them.

Each is held against its exercise's check by tests/exercises/test_right_answers.py: it must be ticked. One module for
each exercise, whose name is that of the exercise's own; ``RIGHT`` lists them.
"""
