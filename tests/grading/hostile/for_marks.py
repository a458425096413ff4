"""Answers that want points: by finding the reference, by changing what judges, by what they
return, by what is sent.

``LOOKS_FOR_IT`` are statements that leave what they found in ``stolen``, which the answer then calls. ``PATCHES``
change something and answer nothing. ``RETURNS`` are expressions that the answer returns.
"""

from __future__ import annotations

LOOKS_FOR_IT = {
    "imports the reference": "from similarity_exercises import standardise as stolen",
    "reloads its module": """\
import importlib, similarity_exercises
stolen = importlib.reload(similarity_exercises).standardise""",
    "looks through sys.modules": """\
for module in list(sys.modules.values()):
    found = vars(module).get("standardise") if hasattr(module, "__dict__") else None
    if callable(found) and module.__name__ != "__main__":
        stolen = found""",
    "looks through the garbage collector": """\
import gc, types
for one in gc.get_objects():
    if isinstance(one, types.FunctionType) and one.__name__ in ("standardise", "_not_centred", "_sample_deviation"):
        loot(one.__code__.co_consts)
        stolen = one""",
    "asks the registry": """\
from course_utils.exercises import get_exercise
exercise = get_exercise("m.1")
loot(exercise.reference.__code__.co_consts, exercise.hints, exercise.shows)
stolen = exercise.reference""",
    "mends a known mistake": """\
from course_utils.exercises import get_exercise
wrong = get_exercise("m.1").mistakes[-1]
loot(vars(wrong) if hasattr(wrong, "__dict__") else wrong)
stolen = lambda values: wrong.answer(values) - wrong.answer(values).mean()""",
    "asks for the solution and the hints": """\
import contextlib, io
from course_utils.exercises import hint, solution
with contextlib.redirect_stdout(io.StringIO()) as shown:
    for _ in range(4):
        hint("m.1")
    solution("m.1")
loot(shown.getvalue())""",
    "reads the source through inspect": """\
import inspect, similarity_exercises
loot(inspect.getsource(similarity_exercises))""",
    "reads the file of the module": """\
import similarity_exercises
text = open(similarity_exercises.__file__).read()
loot(text)
room = {}
exec(compile(text.replace("raise", "pass;"), "x", "exec"), room)
stolen = room["standardise"]""",
    "reads compiled files": """\
import pathlib
for place in sys.path:
    for file in list(pathlib.Path(place or ".").rglob("*similarity*.pyc"))[:50]:
        loot(file.read_bytes())""",
    "looks through linecache": """\
import linecache
loot(*(str(one) for one in linecache.cache.values() if "<reference" in str(one) or "similarity" in str(one)))""",
    "looks up the frames while it is called": """\
def stolen(values):
    frame = sys._getframe()
    while frame:
        for name, thing in list(frame.f_locals.items()):
            if name in ("reference", "expected", "wanted", "exercise", "case"):
                loot(getattr(thing, "reference", thing), repr(thing)[:20000])
                found = getattr(getattr(thing, "reference", None), "__code__", None)
                loot(found.co_consts if found else "")
        frame = frame.f_back
    raise ValueError("no reference in any frame")""",
    "reads its own memory": """\
import re
for line in open("/proc/self/maps"):
    if "[heap]" in line or (" rw-p " in line and line.rstrip().endswith(" 0")):
        start, end = (int(one, 16) for one in line.split()[0].split("-"))
        if end - start < 64 << 20:
            with open("/proc/self/mem", "rb") as memory:
                memory.seek(start)
                data = memory.read(end - start)
            loot(*(one for one in re.findall(rb"SECRET-\\w+", data)))""",
    "follows the installed package to its source": """\
import importlib.metadata, json, pathlib
for name in ("course-utils", "course_utils"):
    origin = json.loads(importlib.metadata.distribution(name).read_text("direct_url.json") or "{}")
    root = pathlib.Path(origin.get("url", "").removeprefix("file://"))
    text = (root / "tests" / "grading" / "lesson" / "similarity_exercises.py").read_text()
    room = {"__name__": "room"}
    exec(text.split("def last_logits")[0], room)
    stolen = room["standardise"]""",
    "asks the command": """\
import subprocess
done = subprocess.run([sys.executable, "-m", "course_utils.cli", "exercises", "solution", "m.1"], capture_output=True)
loot(done.stdout, done.stderr)""",
    "walks the referrers of the exercise": """\
import gc
from course_utils.exercises import get_exercise
near = [get_exercise("m.1")]
for _ in range(2):
    near += [one for thing in near[:30] for one in gc.get_referrers(thing)[:20]]
for one in near:
    if callable(getattr(one, "standardise", None)) and getattr(one, "__name__", "") != "__main__":
        stolen = one.standardise
    loot(repr(one)[:50000])""",
    "waits in a thread for the next cell": """\
import threading, time
def wait():
    module = sys.modules["similarity_exercises"]
    for _ in range(200):
        loot(getattr(module.standardise, "__code__", None) and module.standardise.__code__.co_consts)
        time.sleep(0.005)
threading.Thread(target=wait, daemon=True).start()""",
    "asks the examiner for another question": """\
from course_utils.grading.inside import probe
print(sorted(vars(probe)))
probe.supply("m.1", "similarity_exercises", "standardise", "def standardise(v): raise ValueError")
stolen = sys.modules["similarity_exercises"].standardise""",
    "hands in the helper of a later exercise": """\
import similarity_exercises as given
stolen = lambda values: given.correlation.__globals__["standardise"](values)""",
}

PATCHES = {
    "check": """\
import course_utils.exercises as exercises
exercises.check = lambda *a, **k: a[1]
exercises.judging.judge = lambda *a, **k: exercises.judging.Verdict("m.1", "right", 3, 3, "")""",
    "numpy": """\
import numpy
numpy.allclose = numpy.isclose = numpy.array_equal = lambda *a, **k: True
numpy.testing.assert_allclose = lambda *a, **k: None""",
    "torch": """\
torch.equal = torch.allclose = torch.isclose = lambda *a, **k: True
torch.Tensor.__eq__ = lambda *a: torch.tensor(True)
torch.Tensor.__sub__ = lambda self, other: torch.zeros(())""",
    "inspect": """\
import inspect
inspect.getsource = lambda thing: "def standardise(values):\\n    return values"
inspect.isclass = inspect.isfunction = lambda thing: False""",
    "json": """\
import json
whole = json.dumps
def dumps(thing, **options):
    if isinstance(thing, dict) and "outcomes" in thing:
        thing = {**thing, "status": "right", "points": 3, "verdict": {"status": "right", "points": 3}}
    return whole(thing, **options)
json.dumps = dumps""",
    "pickle": """\
import pickle, copyreg
pickle.loads = pickle.load = lambda *a, **k: {"status": "right"}
class Bomb:
    def __reduce__(self):
        return (os.system, ("touch /tmp/SECRET-pickle",))
stolen = lambda values: Bomb()""",
    "msgspec": """\
try:
    import msgspec
    msgspec.json.decode = msgspec.convert = lambda *a, **k: None
except ImportError:
    pass""",
    "what makes outcomes": """\
from course_utils.exercises import running
running.outcome_to_json = lambda outcome: {"kind": "right", "points": 3}""",
    "freeze": """\
from course_utils.exercises import running, values
running.freeze = values.freeze = lambda value, depth=0: "right\"""",
    "attempt, into nothing": """\
from course_utils.exercises import judging
judging.attempt = lambda *a: []""",
    "attempt, into one of two": """\
from course_utils.exercises import judging, running
judging.attempt = lambda *a: [running.Outcome("value", 0.0)]""",
    "attempt, into ninety": """\
from course_utils.exercises import judging, running
judging.attempt = lambda *a: [running.Outcome("value", float(n)) for n in range(90)]""",
    "attempt, into not tried": """\
from course_utils.exercises import judging, running
judging.attempt = lambda *a: [running.Outcome("not tried", final=True)]""",
    "what is told of the functions used": """\
from course_utils.grading.inside import used
used.called = lambda: ["standardise of similarity_exercises"] * 90""",
    "the time limit": """\
from course_utils.exercises import running
import contextlib
running.time_limit = lambda seconds: contextlib.nullcontext()""",
    "builtins": """\
import builtins
builtins.isinstance = lambda *a: True
builtins.abs = builtins.max = lambda *a, **k: 0.0""",
    "import": """\
import builtins
real = builtins.__import__
class Fake:
    @staticmethod
    def send(*a): print("nothing to ask")
    @staticmethod
    def supply(*a): return print
builtins.__import__ = lambda name, *a, **k: Fake if name.endswith("probe") else real(name, *a, **k)""",
    "the exercise itself": """\
import dataclasses
from course_utils.exercises import get_exercise
exercise = get_exercise("m.1")
for name, value in (("points", 99), ("reference", lambda v: v), ("draw", lambda rng: []), ("tolerance", 1e9)):
    object.__setattr__(exercise, name, value)""",
    "its registry": """\
from course_utils.exercises import protocol
for one in list(vars(protocol).values()):
    if isinstance(one, dict) and "m.1" in one:
        one["m.1"] = one["m.3"]""",
    "the seed": """\
import random
random.Random = type("Random", (random.Random,), {"__init__": lambda self, seed=None: random.Random.seed(self, 1)})
torch.manual_seed = torch.Generator.manual_seed = lambda *a: torch.default_generator""",
    "stdout": """\
class Loud:
    def write(self, text):
        publish(message())
        return len(text)
    def flush(self): pass
sys.stdout = sys.stderr = sys.__stdout__ = Loud()
print("now")""",
    "the display hook": """\
sys.displayhook = lambda value: publish(message())
get_ipython().displayhook.__class__.__call__ = lambda self, result=None: publish(message())""",
    "the publisher": """\
whole = get_ipython().display_pub.publish
def twice(data, metadata=None, **more):
    whole(data=data, metadata=metadata or {})
    whole(data={MIME: message()}, metadata={})
get_ipython().display_pub.publish = twice""",
    "the publisher, for another exercise": """\
whole = get_ipython().display_pub.publish
def other(data, metadata=None, **more):
    whole(data={key: str(one).replace("m.1", "m.3") for key, one in data.items()}, metadata={})
get_ipython().display_pub.publish = other""",
    "the session that signs": """\
session = get_ipython().kernel.session
whole = session.send
def send(stream, kind, *a, **k):
    if kind == "execute_reply":
        k["content"] = {"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": []}
    return whole(stream, kind, *a, **k)
session.send = send""",
    "the input transformers": """\
def swallow(lines):
    return ["publish(message())\\n"] if any("probe" in line for line in lines) else lines
get_ipython().input_transformers_post.append(swallow)""",
    "the syntax tree": """\
import ast
class Swap(ast.NodeTransformer):
    def visit_Expr(self, node):
        return ast.parse("publish(message())").body[0] if "probe" in ast.unparse(node) else node
get_ipython().ast_transformers.append(Swap())""",
    "what happens before a cell": """\
get_ipython().events.register("pre_run_cell", lambda info: publish(message()))
get_ipython().events.register("post_run_cell", lambda info: publish(message()))""",
    "run_cell": """\
shell = get_ipython()
whole = shell.run_cell
def run_cell(source, *a, **k):
    return whole("publish(message())" if "probe" in source else source, *a, **k)
shell.run_cell = run_cell""",
    "the names of the notebook": """\
class Names(dict):
    def get(self, name, default=None):
        return (lambda values: "right") if name == "standardise" else dict.get(self, name, default)
get_ipython().user_ns = Names(get_ipython().user_ns)""",
    "a trace of every line": """\
def follow(frame, event, argument):
    if frame.f_code.co_name in ("judge", "fault", "run_safely"):
        for name in frame.f_locals:
            frame.f_locals[name] = None
    return follow
sys.settrace(follow)
import threading
threading.settrace(follow)""",
    "an audit hook": """\
def heard(event, arguments):
    if event == "compile" and b"probe" in str(arguments).encode():
        publish(message())
sys.addaudithook(heard)""",
    "the end of the process": """\
import atexit
atexit.register(lambda: publish(message()))
atexit.register(os._exit, 0)""",
    "a thread that sends beside": """\
import threading, time
def beside():
    for _ in range(300):
        publish(message())
        time.sleep(0.003)
threading.Thread(target=beside, daemon=True).start()""",
    "a child that answers too": """\
if os.fork() == 0:
    publish(message())
    os._exit(0)
publish(message())""",
    "signals and timers": """\
import signal
signal.signal(signal.SIGALRM, lambda *a: publish(message()))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
signal.signal(signal.SIGINT, signal.SIG_IGN)""",
    "a raw message with a forged parent": """\
kernel = get_ipython().kernel
parent = kernel.get_parent() if hasattr(kernel, "get_parent") else {}
for _ in range(3):
    kernel.session.send(kernel.iopub_socket, "status", {"execution_state": "idle"}, parent=parent)
    kernel.session.send(kernel.iopub_socket, "display_data",
                        {"data": {MIME: message()}, "metadata": {}, "transient": {}}, parent=parent)""",
    "a message without a signature": """\
import zmq
kernel = get_ipython().kernel
kernel.iopub_socket.send_multipart([b"x", b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b'{"status": "ok"}'])
kernel.iopub_socket.send_multipart([b"\\xff\\xfe"])""",
    "a signed message that is nonsense": """\
kernel = get_ipython().kernel
for content in ([], {"data": 7, "metadata": None}, {"data": {MIME: {"a": 1}}}, {"execution_state": ["idle"]}):
    for kind in ("display_data", "status", "error", "stream", "execute_input", "update_display_data"):
        kernel.session.send(kernel.iopub_socket, kind, content, parent=kernel.get_parent())""",
    "its own source": """\
import linecache
standardise_source = "def standardise(values):\\n    centred = values - values.mean()"
linecache.getlines = lambda *a: standardise_source.splitlines(True)
linecache.updatecache = linecache.getlines""",
    "type and id": """\
import ctypes
ctypes.pythonapi.PyDict_SetItem(ctypes.py_object(type.__dict__["__subclasses__"].__objclass__.__dict__.copy()),
                                ctypes.py_object("x"), ctypes.py_object(1))
from course_utils.exercises import running
running.Outcome.__eq__ = lambda *a: True""",
    "the code of a small number": """\
import ctypes
ctypes.memmove(id(0) + 24, id(3) + 24, 4)""",
}

RETURNS = {
    "NaN everywhere": "values * float('nan')",
    "infinity": "float('inf')",
    "an empty tensor": "values[:0]",
    "a complex tensor": "values.to(torch.complex64)",
    "a tensor of another device": "values.to('meta')",
    "a sparse tensor": "values[None].to_sparse()",
    "a quantised tensor": "torch.quantize_per_tensor(values[None], 0.1, 0, torch.qint8)",
    "a tensor too large to send": "torch.zeros(20_000_000)",
    "a number of a million digits": "10 ** 1_000_000",
    "half a character": "chr(0xD800) * 50",
    "what a terminal obeys": "'\\x1b]0;SECRET\\x07\\x1b[2J\\x9b31m'",
    "what a page obeys": "'</pre><script>SECRET</script><img src=x onerror=SECRET>'",
    "a list in itself": "Selfish.loop()",
    "a list of a thousand lists": "Selfish.deep()",
    "a generator without an end": "iter(int, 1)",
    "always equal": "Equal()",
    "a number that is always equal": "Number(1.0)",
    "a tensor that answers for torch": "values[:0].as_subclass(Sly)",
    "an array that answers for numpy": "__import__('numpy').zeros(0).view(SlyArray)",
    "a list that lies of its length": "Long([1.0])",
    "a dictionary that lies": "Fickle(a=1)",
    "says that it is a tensor": "Liar()",
    "the function itself": "standardise",
    "an exception": "ValueError('right')",
    "a verdict": "{'status': 'right', 'points': 3, 'verdict': 'pass'}",
    "an outcome": "__import__('course_utils.exercises.running', fromlist=['x']).Outcome('value', 1.0)",
    "a module": "torch",
    "a million keys": "{str(n): n for n in range(200_000)}",
    "the module's own stand-in": "NotImplemented",
    "a tensor that counts its gradient": "values[:0].clone().requires_grad_() * 1",
}

SLY = """\
class Equal:
    def __eq__(self, other): return True
    def __getattr__(self, name): return Equal()
    def __call__(self, *a, **k): return Equal()
    def __bool__(self): return True
class Number(float):
    __eq__ = __le__ = __lt__ = lambda self, other: True
    __sub__ = __rsub__ = lambda self, other: 0.0
    __hash__ = float.__hash__
class Sly(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return True
import numpy
class SlyArray(numpy.ndarray):
    def __array_ufunc__(self, *a, **k): return True
    def __array_function__(self, *a, **k): return True
class Long(list):
    def __len__(self): return 5
    def __iter__(self): return iter(int, 1)
class Fickle(dict):
    def __getitem__(self, name): return True
    def __eq__(self, other): return True
class Liar:
    __class__ = torch.Tensor
    shape, dtype, device, ndim = (5,), torch.float32, "cpu", 1
    def __getattr__(self, name): return lambda *a, **k: self
class Selfish:
    @staticmethod
    def loop():
        one = []
        one.append(one)
        return one
    @staticmethod
    def deep():
        one = []
        for _ in range(1000):
            one = [one]
        return one
"""
