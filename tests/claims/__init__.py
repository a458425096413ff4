"""What the lessons' texts say beyond what their cells print: a module for each lesson, and for each sentence a control.

A test is named after the sentence that it defends, and its docstring says where the sentence stands. If a sentence is
changed, its test changes in the same commit; if a test fails with another model or library, it is the sentence that
must change.
"""
