"""What a check says to a learner: whole sentences, each with named places for what differs.

No sentence is put together from halves elsewhere, since halves do not fit together in every language. What a template's
places are filled with is either a name of the learner's or Python's (a function, a type, an exception's own words), a
number, or one of the short descriptions below. A verdict may be several sentences, one after the other.
"""

from __future__ import annotations


def say(template: str, **values: object) -> str:
    """The sentence that ``template`` becomes with these values in its places."""
    return template.format(**values)


# The line of a verdict.
NOT_TRIED = "○ {exercise} not tried yet: the lesson goes on with the reference solution."
RIGHT = "✓ {exercise} · {points} of {out_of} points. {message}"
WRONG = "✗ {exercise} · {points} of {out_of} points. {message}"
IS_THE_REFERENCE = (
    "○ {exercise} this is the reference solution. To check your own, run the cell with your {name} again first."
)
NO_REFERENCE = (
    "○ {exercise} cannot be checked on this model: it asks for what the lessons' own model does, and the reference "
    "solution fails here, too. {reason}"
)
MUST_RAISE = "the docstring promises a ValueError for these inputs; yours raises {raised}."
PRINTED = "Your code printed:\n{lines}"
INPUTS = (
    '  To have these inputs: from course_utils.exercises import failing_case; args, kwargs = failing_case("{exercise}")'
)
NOTHING_FAILED = "No check has found an answer to {exercise} wrong."

# Hints and names of exercises.
HINT = "Hint {number} of {count} ({title}): {text}"
NO_MORE_HINTS = 'That was the last hint. solution("{exercise}") shows the reference solution.'
WRITE_FIRST = (
    "Write an answer of your own under the question first, and save the notebook. "
    'Or give it here: solution("{question}", "your answer").'
)
NO_LESSON = "There is no lesson {lesson!r}; there are {known}."
NO_EXERCISE = "There is no exercise {exercise!r}; this lesson has {known}."

# On which inputs an answer went wrong, and where in its value.
ON_CASE = "On {case}: {message}"
AT_PLACE = "{place}: {message}"
THE_LESSONS_MODEL = "the lesson's model"
THE_MODEL = "the model"
A_TINY_MODEL = "a tiny random {family}"
INDEX = "index"

# How a value differs in form. {got} and {expected} are descriptions.
OTHER_KIND = "{got} came; expected {expected}."
NONE_CAME = "None came; expected {expected}."
NONE_RETURNED = "None came; expected {expected}. Is there a return?"
OTHER_SHAPE = "a tensor of shape {got} came; expected {expected}."
OTHER_DTYPE = "a tensor of {got} came; expected {expected}."
OTHER_DEVICE = "the tensor is on {got}; expected it on {expected}."
NAN_IN_TENSOR = "NaN came; every expected value is a number."
NAN_FOR_NUMBER = "NaN came; a number was expected."
OTHER_LENGTH = "{got} entries came; expected {expected}."
OTHER_KEYS = "the keys are {got}; expected {expected}."
NO_KEYS = "the keys are none; expected {expected}."

# How it differs in a number or a word.
OTHER_VALUE = "yours is {got}, expected {expected}."

# Descriptions of values.
A_TENSOR = "a tensor of shape {shape}"
SHAPE_WITH_AXES = "{shape} ({axes})"
A_LIST = "a list of {length}"
A_DICTIONARY = "a dictionary with {keys}"
A_VALUE_OF_TYPE = "a value of type {type}"
NONE = "None"
A_BOOL = "True or False"
A_WHOLE_NUMBER = "a whole number"
A_NUMBER = "a number"
A_TEXT = "a text"
COMPLEX_TENSOR = "tensor of complex numbers"
HUGE_NUMBER = "whole number of more than 18 digits"
META_TENSOR = "tensor without values (meta device)"
TOO_LONG = "list that does not end"
TOO_DEEP = "structure nested more than 20 deep"

# What an answer did instead of returning.
NOT_CALLABLE_A = "It is a {type}; a function or class was expected."
NOT_CALLABLE_AN = "It is an {type}; a function or class was expected."
OUT_OF_TIME = "Your code was still running after {seconds:.0f} seconds and was stopped."
INTERRUPTED = "The check was interrupted."
CHECK_INTERRUPTED = (
    "○ {exercise} the check was interrupted, and does not count. To have it again, run the cell with your {name} again "
    "first."
)
NOT_RUN = "It was not run on this case."
RAISED = "Your code raised {error}."
RAISED_ON_LINE = "Your code raised {error} on line {line}."
RAISED_SAYING = "Your code raised {error}: {text}"
RAISED_ON_LINE_SAYING = "Your code raised {error} on line {line}: {text}"

# How wrong values come of the right ones, in every case that is wrong. {axis}, {one} and {other} are names of axes.
OTHER_SIGN = "Each number has the other sign: exchange what is subtracted, or put a minus in front."
SIGN_LOST = "The sign is lost: each number is the absolute value of what was expected."
ONE_TOO_MANY = "Each number is one too large: does your count begin at 1, or include the end?"
ONE_TOO_FEW = "Each number is one too small: does your count begin at 0, or leave the end out?"
BASE_10_FOR_NATURAL = "Yours are logarithms to the base 10; natural ones were expected (torch.log, math.log)."
BASE_2_FOR_NATURAL = "Yours are logarithms to the base 2; natural ones were expected (torch.log, math.log)."
NATURAL_FOR_BASE_2 = "Yours are natural logarithms; those to the base 2 were expected: divide by log(2)."
BASE_10_FOR_BASE_2 = "Yours are logarithms to the base 10; those to the base 2 were expected: log2."
DEGREES_FOR_RADIANS = "Yours are degrees; radians were expected."
LOGARITHM_MISSING = "A logarithm is missing: yours is e to the power of what was expected."
LOGARITHM_TOO_MANY = "Yours is the logarithm of what was expected."
SOFTMAX_MISSING = "A softmax is missing: that of yours is what was expected."
SOFTMAX_TOO_MANY = "Yours is the softmax of what was expected: it is one too many."
SQUARED = "Each number is the square of what was expected."
ROOT_TAKEN = "Each number is the square root of what was expected."
MADE_TO_SUM_TO_1 = "Yours is divided by its sum; what was expected is not."
MADE_OF_LENGTH_1 = "Yours is divided by its length; what was expected is not."
MEAN_FOR_SUM = "What was expected is a whole number of times yours, in each case: a mean where a sum was asked for?"
SUM_FOR_MEAN = "Yours is a whole number of times what was expected, in each case: a sum where a mean was asked for?"
OFF_BY_A_FACTOR = "In each case your numbers are off by one factor: something is multiplied or divided, or should be."
OFF_BY_A_NUMBER = "In each case your numbers are off by one amount: something is added or left out."
AXES_EXCHANGED = "The axes {one} and {other} are exchanged."
TURNED_AROUND = "The order along the axis {axis} is turned around."
FIRST_MISSING = "All is right but that the first {axis} is missing."
LAST_MISSING = "All is right but that the last {axis} is missing."
FIRST_ALONE = "This is the first {axis} alone: all were asked for."
LAST_ALONE = "This is the last {axis} alone: all were asked for."
AVERAGED_OVER = "This is the mean over the axis {axis}, which should still be there."
SUMMED_OVER = "This is the sum over the axis {axis}, which should still be there."
SUMMED_UP = "These are the sums so far along the axis {axis}: each value by itself was asked for."
ENTRY = "entry"
ONE_IN_FRONT = "All is right but that there is one {axis} too many in front."
ONE_AT_THE_END = "All is right but that there is one {axis} too many at the end."
ONE_TOO_FAR = "Along the axis {axis} each value is that of the next place: yours is off by one."
ONE_TOO_EARLY = "Along the axis {axis} each value is that of the place before: yours is off by one."
AXIS_IN_FRONT = "The values are right, with an axis of length 1 too many in front (the batch?): take its entry 0."
AXIS_AT_THE_END = "The values are right, with an axis of length 1 too many at the end: take it away with [..., 0]."

# What may be the reason.
OTHER_ARGUMENTS = "Its arguments are not those of the exercise: compare your first line with the lesson's."
NOT_SAVED = "If '{name}' was made inside a trace, it does not outlive it: save it there, {name} = ....save()."
SOMETHING_NOT_SAVED = (
    "If 'the value' was made inside a trace, it does not outlive it: save it there, the value = ....save()."
)
OUT_OF_ORDER = "A trace reads the parts in the order in which the model runs them: read the earlier one first."
OUTSIDE_A_TRACE = "Activations exist only while the model runs: read them inside `with model.trace(...):`."
RETURN_IN_TRACE = "A trace's body cannot return: save the value there and return it after the block."
NO_SUCH_PART = "print(model) shows the names of the parts."
TIMED_CELL = "Take %%time off the cell with your answer: nnsight reads a trace's source, and %%time hides it."
EXITS = "An answer returns; it does not exit."

# Below the traceback of a cell.
CELL_INTERRUPTED = "The cell was stopped. The model is as it was: run the cell again, or go on."
NAME_IS_GONE = (
    "There is no '{name}' yet, or no more: after a restart nothing is defined. Run the cells above this one (menu "
    "Run). If it was made inside a trace, it does not outlive it: save it there, {name} = ....save()."
)
WHOLE_TRACEBACK = "{advice} (%tb shows the whole traceback.)"

# What it changed and should not have.
INPUT_CHANGED = "The values are right, but your code changed its input in place: work on a copy (x = x.clone())."
HOOK_LEFT_ON_MODEL = "Your code left a hook behind on the model: remove it, whatever happens (try ... finally)."
HOOK_LEFT = "Your code left a hook behind on {part}: remove it, whatever happens (try ... finally)."
WEIGHTS_CHANGED = "Your code changed the model's weights: they belong to everyone, so change activations instead."
DTYPE_CHANGED = "Your code changed the dtype of the model's weights: it was put back. Convert activations instead."
EDIT_LEFT = "Your code left an edit on the model (edit(inplace=True)): it was taken away. Use model.edit() without it."
FORWARD_REPLACED = "Your code replaced the forward of {part}: it was put back. Read or write activations in a trace."
HOOK_ON_EVERY_MODULE = "Your code left a hook behind on every module of torch: it was removed."
FUNCTION_REPLACED = "Your code replaced {name} for everyone: it was put back. Define a function of another name."
MODE_CHANGED = "Your code left the model in another mode (train or eval) than it found it in."

# Predictions. {guess} and {truth} are values as they are printed, {off} and {remark} whole sentences or nothing.
NO_GUESS = "◇ {prediction} no guess."
KEPT = "◇ {prediction} your guess is kept: {guess}."
KEPT_LATE = "◇ {prediction} your guess is kept: {guess}. (The answer was shown before it.)"
TRUTH_ALONE = "◇ {prediction} The answer: {truth}. (No guess.)"
GUESS_RIGHT = "◆ {prediction} The answer: {truth}. You said {guess}: right. {remark}"
GUESS_OFF = "◇ {prediction} The answer: {truth}. You said {guess}. {off} {remark}"
NOT_TO_BE_READ = "◇ {prediction} no answer to show: {truth} is not what the lesson computes here. Run the cells above."
NO_PREDICTION = "There is no prediction {prediction!r}; this lesson has {known}."

# A guess that is not of the form that is asked for. {options} are listed with commas.
NO_NUMBER_FROM = "◇ {prediction} asks for a number from {low} to {high}; {guess} came, and is not kept."
NONE_OF = "◇ {prediction} asks for one of {options}; {guess} came, and is not kept."
NO_TOKEN_AS_TEXT = "◇ {prediction} asks for a token, as a text in quotation marks; {guess} came, and is not kept."
NOT_SO_MANY = "◇ {prediction} asks for {count} values, with a comma between them; {guess} came, and is not kept."

# How far off it is.
TOO_LOW = "That is {off} too low."
TOO_HIGH = "That is {off} too high."
TIMES_TOO_SMALL = "That is {times} times too small."
TIMES_TOO_LARGE = "That is {times} times too large."
NOT_A_SIZE = "Zero is no size to compare with."
PART_RIGHT = "Your value {place} is right."
PART_WRONG = "Your value {place} is not right."

# Questions with answers to choose from. {says} is an option's explanation, {line} what an experiment showed.
QUESTION = "? {quiz} {asks}"
ANSWER_RIGHT = "✓ {letter}: right. {says}"
ANSWER_WRONG = "✗ {letter}: {says}"
NO_SUCH_ANSWER = "The answers are {letters}; {answer} came."
TRIED = "Tried on your model: {line}"
TRIED_OTHERWISE = "Tried on your model, where it comes out otherwise: {line}"
NO_QUIZ = "There is no question {quiz!r}; this lesson has {known}."

# Where one is, when a lesson is opened again. {next} is the id of an exercise.
WELCOME_BACK = "Welcome back: {right} of {count} exercises of lesson {lesson} are right, next is {next}."
WELCOME_BACK_DONE = "Welcome back: all {count} exercises of lesson {lesson} are right."
