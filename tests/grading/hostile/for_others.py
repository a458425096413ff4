"""Answers that want what is another's (``LOOKS``), to leave something for the next (``STAYS``), or to stop the marking
(``STOPS``).
"""

from __future__ import annotations

LOOKS = {
    "home folders": """\
import pathlib
for home in (pathlib.Path(os.path.expanduser("~root")), *pathlib.Path("/home").glob("*"), pathlib.Path.home()):
    for file in [one for one in home.rglob("*") if one.is_file()][:3000]:
        if file.stat().st_size < 100_000:
            loot(file.read_bytes())""",
    "the teacher's folder": 'walk("/srv", "/opt", "/var/lib", "/etc")',
    "temporary folders": 'walk("/tmp", "/var/tmp", "/dev/shm", "/run")',
    "its environment": 'loot(os.environ, open("/proc/self/environ", "rb").read())',
    "the environment of all": """\
for pid in os.listdir("/proc"):
    if pid.isdigit():
        for name in ("environ", "cmdline", "stat"):
            try: loot(open(f"/proc/{pid}/{name}", "rb").read())
            except OSError: pass""",
    "the folders of other processes": """\
for pid in os.listdir("/proc"):
    if pid.isdigit():
        for name in ("root", "cwd"):
            try: walk(f"/proc/{pid}/{name}/tmp" if name == "root" else f"/proc/{pid}/{name}")
            except OSError: pass""",
    "open files that it inherited": """\
for name in os.listdir("/proc/self/fd"):
    try:
        if os.path.isfile(f"/proc/self/fd/{name}"):
            loot(open(f"/proc/self/fd/{name}", "rb").read(1 << 20))
    except OSError: pass""",
    "open files of other processes": """\
for pid in os.listdir("/proc"):
    if pid.isdigit() and int(pid) != os.getpid():
        try: names = os.listdir(f"/proc/{pid}/fd")
        except OSError: continue
        for name in names:
            try:
                if os.path.isfile(f"/proc/{pid}/fd/{name}"):
                    loot(open(f"/proc/{pid}/fd/{name}", "rb").read(1 << 20))
            except OSError: pass""",
    "the memory of other processes": """\
for pid in sorted({os.getppid(), 1, *(int(one) for one in os.listdir("/proc") if one.isdigit())} - {os.getpid()}):
    try:
        maps = [one.split() for one in open(f"/proc/{pid}/maps") if "[heap]" in one]
        with open(f"/proc/{pid}/mem", "rb") as memory:
            for one in maps[:2]:
                start, end = (int(word, 16) for word in one[0].split("-"))
                memory.seek(start)
                loot(memory.read(min(end - start, 32 << 20)))
    except OSError: pass""",
    "what is mounted, and from where": 'loot(open("/proc/self/mountinfo").read(), open("/proc/mounts").read())',
    "the machine's own memory": """\
for name in ("/dev/mem", "/dev/kmem", "/proc/kcore", "/dev/port"):
    try: loot(open(name, "rb").read(1 << 20))
    except OSError: pass""",
    "discs": """\
import stat
for name in os.listdir("/dev"):
    if stat.S_ISBLK(os.stat(f"/dev/{name}").st_mode):
        got("disc " + name)""",
    "what is mounted, by the calls that list it": """\
import ctypes
libc, buffer, numbers = ctypes.CDLL(None), ctypes.create_string_buffer(1 << 16), (ctypes.c_uint64 * 4096)()
asks = lambda mount, what: (ctypes.c_uint64 * 4)(32, mount, what, 0)
for root in (2**64 - 1, *range(1, 200)):
    found = libc.syscall(458, ctypes.byref(asks(root, 0)), numbers, 4096, 0)
    for one in list(numbers[: max(0, found)])[:300]:
        if libc.syscall(457, ctypes.byref(asks(one, 0x7f)), buffer, 1 << 16, 0) == 0:
            loot(buffer.raw)""",
    "the roots of threads": """\
import glob
for place in glob.glob("/proc/[0-9]*/task/*"):
    for name in ("root/var/tmp", "root/home", "cwd/.."): walk(f"{place}/{name}")
for place in glob.glob("/proc/[0-9]*/[mfn][ads]*/*"):
    try: loot(os.readlink(place))
    except OSError: pass""",
    "a device made anew": """\
import stat
os.mknod("disc", stat.S_IFBLK | 0o600, os.makedev(254, 0))
open("disc", "rb").read(512)
got("mknod")""",
    "passwords": 'loot(open("/etc/shadow").read()); got("shadow")',
    "the keyring": """\
import ctypes
loot(open("/proc/keys").read(), open("/proc/key-users").read())
libc = ctypes.CDLL(None)
buffer = ctypes.create_string_buffer(1000)
for ring in (-1, -2, -3, -4, -5):
    found = libc.syscall(250, 10, ring, b"user", b"SECRET-key", 0)
    if found > 0:
        libc.syscall(250, 11, found, buffer, 1000)
        loot(buffer.raw)""",
    "shared memory of System V": """\
import ctypes
loot(*(open(f"/proc/sysvipc/{name}").read() for name in ("shm", "msg", "sem")))
libc = ctypes.CDLL(None)
for key in range(1, 40):
    got = libc.syscall(29, key, 0, 0)
    if got >= 0:
        libc.shmat.restype = ctypes.c_void_p
        loot(ctypes.string_at(libc.shmat(got, None, 0), 100))""",
    "queues of POSIX": 'walk("/dev/mqueue")',
    "abstract sockets": """\
import socket
for line in open("/proc/net/unix").read().splitlines()[1:]:
    name = line.split()[-1]
    loot(name)
    if name.startswith("@"):
        try:
            one = socket.socket(socket.AF_UNIX); one.settimeout(0.2)
            one.connect("\\0" + name[1:])
            loot(one.recv(1000))
        except OSError: pass""",
    "the fork server": """\
import glob, json, socket
for place in glob.glob("/run/sockets/**", recursive=True) + glob.glob("/tmp/exam-*/sockets/**", recursive=True):
    try:
        one = socket.socket(socket.AF_UNIX); one.settimeout(0.5)
        one.connect(place)
        one.sendall(b'"state"\\n')
        said = one.recv(1000)
        if b"nested" in said:
            got("server")
    except OSError: pass""",
    "the network": """\
import socket
for address in (("127.0.0.1", PORT), ("localhost", PORT)):
    one = socket.create_connection(address, timeout=1)
    loot(one.recv(1000))""",
    "a name server": """\
import socket
socket.gethostbyname("example.org")
got("name")""",
    "a raw socket": """\
import socket
socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
got("packets")""",
    "what others change (inotify)": """\
import ctypes, time
libc = ctypes.CDLL(None)
watch = libc.inotify_init1(0o4000)
for place in (b"/tmp", b"/dev/shm", b"/var/tmp", b"/run", b"/"):
    libc.inotify_add_watch(watch, place, 0xFFF)
time.sleep(0.5)
loot(os.read(watch, 65536))""",
    "another process (ptrace)": """\
import ctypes
libc = ctypes.CDLL(None)
for victim in (os.getppid(), 1):
    if libc.ptrace(16, victim, 0, 0) == 0:
        got("ptrace")""",
    "another process's memory, in one call": """\
import ctypes
libc = ctypes.CDLL(None)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(4096)
for line in open(f"/proc/{os.getppid()}/maps"):
    start = int(line.split("-")[0], 16)
    here, there = Vector(ctypes.addressof(buffer), 4096), Vector(start, 4096)
    if libc.process_vm_readv(os.getppid(), ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0:
        got("vm")
        break""",
    "another process's files, in one call": """\
import ctypes
libc = ctypes.CDLL(None)
one = libc.syscall(434, os.getppid(), 0)
for number in range(30):
    if libc.syscall(438, one, number, 0) >= 0:
        got("pidfd")
        break""",
    "a namespace of its own": """\
import ctypes
if ctypes.CDLL(None).unshare(0x10000000 | 0x20000) == 0:
    got("namespace")""",
    "a root of its own": """\
os.chroot(".")
got("chroot")""",
    "a program with more rights": """\
import subprocess
for command in (["su", "-c", "id"], ["sudo", "-n", "id"], ["mount", "-t", "tmpfs", "x", "/tmp"]):
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode == 0:
        got("rights", command[0])""",
    "the terminal": """\
import fcntl
for name in ("/dev/tty", "/dev/console", "/dev/pts/0", "/dev/pts/1"):
    try:
        line = os.open(name, os.O_RDWR)
        for letter in b"id\\n":
            fcntl.ioctl(line, 0x5412, bytes([letter]))
        got("terminal")
    except OSError: pass""",
    "links to what is elsewhere": """\
import pathlib
for number, place in enumerate(("/proc/1/root", "/srv", os.path.expanduser("~root"), "/etc/shadow", "../..")):
    os.symlink(place, f"link{number}")
    try: loot(pathlib.Path(f"link{number}").read_bytes() if os.path.isfile(f"link{number}") else b"")
    except OSError: pass
    if os.path.isdir(f"link{number}"):
        walk(f"link{number}")""",
    "other notebooks, by their name": """\
import glob
for folder in ("/home", "/tmp", os.path.expanduser("~root"), ".."):
    for file in glob.glob(f"{folder}/**/*.ipynb", recursive=True)[:300]:
        loot(open(file, "rb").read())""",
    "how long others take": """\
import time, resource
before = os.getloadavg(), os.times()
time.sleep(0.2)
loot(before, os.getloadavg(), resource.getrusage(resource.RUSAGE_CHILDREN))""",
    "what the kernel logs": """\
import ctypes
buffer = ctypes.create_string_buffer(1 << 16)
if ctypes.CDLL(None).klogctl(3, buffer, 1 << 16) > 0:
    got("log")""",
    "files by their handle": """\
import ctypes
libc = ctypes.CDLL(None)
handle = ctypes.create_string_buffer(bytes([8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]))
if libc.open_by_handle_at(os.open("/", 0), handle, 0) >= 0:
    got("handle")""",
}

# Each tries to leave its own word where it can; what looks for such a word finds another's only if it stayed.
STAYS = {
    "in temporary folders": """\
for place in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/run/lock"):
    try: open(f"{place}/{OWN}", "w").write(OWN)
    except OSError: pass
walk("/tmp", "/var/tmp", "/dev/shm", "/run/lock")""",
    "in its home": """\
import pathlib
for name in (".bashrc", ".ipython/profile_default/startup/0.py", ".config/matplotlib/matplotlibrc", ".pythonrc"):
    place = pathlib.Path.home() / name
    if place.exists(): loot(place.read_bytes())
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("# " + OWN)""",
    "behind a link for what is reported of it": """\
import socket
for place in (os.path.dirname(os.getcwd()), "/run/kernel", "/run/sockets"):
    for name in ("end.txt", "report.txt"):
        try: os.symlink(f"/var/tmp/{OWN}", os.path.join(place, name))
        except OSError: pass
try: socket.socket(socket.AF_INET)
except OSError: pass""",
    "as a file that runs with its owner's rights": """\
for file in ("/var/tmp/exam-shell", sys.executable, "/bin/sh"):
    try: os.chmod(file, 0o4755)
    except OSError: continue
    got("a file that runs with its owner's rights", file)""",
    "in a folder too deep to be removed": """\
for _ in range(1500):
    os.mkdir("d" * 20)
    os.chdir("d" * 20)""",
    "in its working folder": """\
if os.path.exists("left"): loot(open("left").read())
open("left", "w").write(OWN)
walk("..")""",
    "beside the sockets": """\
for place in ("/run/kernel", "/run/sockets", os.environ.get("JUPYTER_RUNTIME_DIR", ".")):
    try: walk(place); open(f"{place}/{OWN}", "w").write(OWN)
    except OSError: pass""",
    "in the sandbox's package": """\
import course_utils.exercises.judging as judging
loot(open(judging.__file__).read())
open(judging.__file__, "a").write("# " + OWN)""",
    "among the libraries": """\
import pathlib
for module in (torch, os):
    folder = pathlib.Path(module.__file__).parent
    loot(*(one.name for one in folder.glob("SECRET*")))
    try: (folder / OWN).write_text(OWN)
    except OSError: pass""",
    "as compiled files": """\
import pathlib, py_compile
sys.dont_write_bytecode = False
for place in sys.path:
    for file in list(pathlib.Path(place or ".").glob("*similarity*.py")):
        py_compile.compile(str(file), cfile=str(file) + "c")
        loot(*(one.name for one in file.parent.glob("*.pyc")))""",
    "as a module that is imported at the start": """\
for place in [one for one in sys.path if one]:
    for name in ("sitecustomize.py", "usercustomize.py", "left.pth"):
        try: open(f"{place}/{name}", "a").write("# " + OWN)
        except OSError: pass
        if os.path.exists(f"{place}/{name}"): loot(open(f"{place}/{name}").read())""",
    "in the model's folder": """\
import pathlib
place = pathlib.Path(os.environ["COURSE_CACHE"])
loot(*(one.name for one in place.rglob("SECRET*")))
(place / OWN).write_text(OWN)""",
    "in the shared weights": """\
model = load_model("tiny-llama")
weight = next(parameter for parameter in model.parameters())
marked = [one for one in weight.detach().flatten()[:4].tolist() if 7000 < one < 8000]
if marked: got("weights")
with torch.no_grad(): weight.flatten()[:4] = 7777.0""",
    "in the keyring": """\
import ctypes
libc = ctypes.CDLL(None)
for ring in (-3, -4, -5):
    if libc.syscall(248, b"user", b"SECRET-key", OWN.encode(), len(OWN), ring) > 0:
        got("keyring")""",
    "in the keyring, by the door for 32 bits": """\
import ctypes, mmap
# push rbx; eax: add_key, ebx: its kind, ecx: its name, edx: what, esi: how long, edi: the session's; int 0x80; pop rbx
low = mmap.mmap(-1, 8192, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, prot=7)
at = ctypes.addressof(ctypes.c_char.from_buffer(low))
for place, what in ((4096, b"user\\0"), (4200, b"SECRET-key\\0"), (4300, OWN.encode())):
    low[place : place + len(what)] = what
word = lambda number: (number & 0xffffffff).to_bytes(4, "little")
code = b"\\x53\\xb8" + word(286) + b"\\xbb" + word(at + 4096) + b"\\xb9" + word(at + 4200) + b"\\xba" + word(at + 4300)
code += b"\\xbe" + word(len(OWN)) + b"\\xbf" + word(-3) + b"\\xcd\\x80\\x5b\\xc3"
low[: len(code)] = code
if ctypes.CFUNCTYPE(ctypes.c_int)(at)() > 0:
    got("keyring")""",
    "in the keyring, by the numbers of x32": """\
import ctypes
if ctypes.CDLL(None).syscall(0x40000000 | 248, b"user", b"SECRET-key", OWN.encode(), len(OWN), -3) > 0:
    got("keyring")""",
    "until its references are shown": """\
import glob, threading, time
places = ["/tmp", "/scratch", "/dev/shm", ".", *glob.glob("/run/*"), *glob.glob("/run/kept/*")]
for place in places:
    for file in glob.glob(place + "/loot*"):
        loot(open(file, "rb").read())
def keep():
    for _ in range(400):
        told = repr(getattr(sys.modules["similarity_exercises"].standardise, "__code__", None))
        for place in places:
            try: open(place + "/loot", "w").write(OWN + told)
            except OSError: pass
        time.sleep(0.01)
threading.Thread(target=keep, daemon=True).start()
eval("1")""",
    "in shared memory of System V": """\
import ctypes
libc = ctypes.CDLL(None)
got = libc.syscall(29, 21, 4096, 0o1777)
if got >= 0:
    got("shm")""",
    "in shared memory of POSIX": """\
from multiprocessing import shared_memory
try: loot(bytes(shared_memory.SharedMemory("exam_left").buf))
except FileNotFoundError: pass
one = shared_memory.SharedMemory("exam_left", create=True, size=4096)
one.buf[: len(OWN)] = OWN.encode()
from multiprocessing import resource_tracker
resource_tracker.unregister(one._name, "shared_memory")""",
    "in a queue of POSIX": """\
import ctypes
if ctypes.CDLL(None).syscall(240, b"SECRET", 0o102, 0o666, 0) >= 0:
    got("queue")""",
    "in a queue of System V": """\
import ctypes
if ctypes.CDLL(None).syscall(68, 21, 0o1777) >= 0:
    got("message")""",
    "in a semaphore": """\
import ctypes
if ctypes.CDLL(None).syscall(64, 21, 1, 0o1777) >= 0:
    got("semaphore")""",
    "in a daemon": """\
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import time
        time.sleep(900)
    os._exit(0)""",
    "in a daemon behind an abstract socket": """\
import socket
if os.fork() == 0:
    os.setsid()
    one = socket.socket(socket.AF_UNIX)
    one.bind("\\0" + OWN)
    one.listen()
    while True:
        line, _ = one.accept()
        line.sendall(OWN.encode())""",
    "in a daemon that hears no signal": """\
import signal, time
if os.fork() == 0:
    for number in range(1, 65):
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    while True: time.sleep(100)""",
    "in a child that stands still": """\
import signal
pid = os.fork()
if pid == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(0)""",
    "in many threads": """\
import threading, time
for _ in range(40): threading.Thread(target=time.sleep, args=(900,)).start()""",
    "in a job for later": """\
import subprocess
for command in (["at", "now"], ["crontab", "-"], ["systemd-run", "true"], ["nohup", "sleep", "900"]):
    try: subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError: pass""",
    "in a lock on a shared file": """\
import fcntl
file = open(torch.__file__)
try: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError: got("lock")
if os.fork() == 0:
    import time
    time.sleep(900)""",
    "in the times of a shared file": """\
if os.stat(torch.__file__).st_mtime == 77: got("times")
os.utime(torch.__file__, (77, 77))""",
    "in an attribute of a shared file": """\
os.setxattr(torch.__file__, "user.left", OWN.encode())
got("attribute")""",
    "in the settings of the kernel": """\
for name in ("hostname", "core_pattern", "shmmax", "printk"):
    file = f"/proc/sys/kernel/{name}"
    before = open(file).read()
    loot(before)
    open(file, "w").write(before)
    got("setting", name)""",
    "as the host's name": """\
import socket
socket.sethostname(OWN)
got("host")""",
    "in the clock": """\
import time
time.clock_settime(time.CLOCK_REALTIME, time.time())
got("clock")""",
    "in a file that is no file": """\
os.mkfifo("pipe")
os.symlink("/", "everything")
os.symlink("loop", "loop")
os.makedirs("d/" * 200)""",
    "in a folder that cannot be removed": """\
os.makedirs("shut/in")
open("shut/in/file", "w").write(OWN)
os.chmod("shut/in", 0)
os.chmod("shut", 0)
import fcntl
file = open("kept", "w")
fcntl.ioctl(file, 0x40086602, (0x10).to_bytes(8, "little"))""",
    "with names that no system likes": """\
for name in (b"\\xff\\xfe", b"a\\nb", b"\\x1b[2J", b"-rf", b"x" * 250, b" ", b"\\xe2\\x80\\xae"):
    open(name, "w").close()""",
}

STOPS = {
    "kills all": "os.kill(-1, 9)",
    "kills its parent": "os.kill(os.getppid(), 9)",
    "stops its parent": "os.kill(os.getppid(), 19)",
    "stops itself": "os.kill(os.getpid(), 19)",
    "kills the group of its parent": "os.killpg(os.getpgid(os.getppid()), 9)",
    "kills each process by its number": """\
for pid in sorted(int(one) for one in os.listdir("/proc") if one.isdigit()):
    if pid != os.getpid():
        try: os.kill(pid, 9)
        except OSError: pass""",
    "kills through the owner of a file": """\
import fcntl, socket
kept = []
for pid in sorted({1, os.getppid(), *(int(one) for one in os.listdir("/proc") if one.isdigit())} - {os.getpid()}):
    try:
        mine, other = socket.socketpair()
        kept += [mine, other]
        fcntl.fcntl(mine, fcntl.F_SETOWN, pid)
        fcntl.fcntl(mine, 10, 9)
        fcntl.fcntl(mine, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        other.send(b"x")
    except OSError: pass""",
    "asks, and waits for an answer": """\
import getpass
for ask in (input, getpass.getpass, breakpoint, sys.stdin.read):
    try: ask()
    except Exception: pass""",
    "opens widgets without end": """\
from comm import create_comm
while True: create_comm(target_name="jupyter.widget", data={"state": "x" * 1000})""",
    "takes the square of its length to read": "pass\n" + "x = 1\n" * 45_000 + "pass",
    "takes the limits of others": """\
import resource
for pid in sorted(int(one) for one in os.listdir("/proc") if one.isdigit()):
    if pid != os.getpid() and "GRADING_SECRET" in open(f"/proc/{pid}/environ", errors="replace").read():
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0))
            got("limits")
        except OSError: pass""",
    "takes the processor's time": """\
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
got("scheduler")""",
    "goes before all others": """\
os.nice(-15)
got("nice")""",
    "goes behind with all others of its user": """\
import ctypes
libc = ctypes.CDLL(None)
for which in (os.PRIO_PGRP, os.PRIO_USER):
    if libc.setpriority(which, 0, 19) == 0:
        got("priority")
for which in (2, 3):
    if libc.syscall(251, which, 0, 3 << 13) == 0:
        got("priority of the disc")""",
    "moves others to one processor": """\
for pid in sorted(int(one) for one in os.listdir("/proc") if one.isdigit()):
    if pid != os.getpid() and "GRADING_SECRET" in open(f"/proc/{pid}/environ", errors="replace").read():
        try:
            os.sched_setaffinity(pid, {0})
            got("affinity")
        except OSError: pass""",
    "has others ended when memory is short": """\
for pid in sorted(int(one) for one in os.listdir("/proc") if one.isdigit()):
    if pid != os.getpid() and "GRADING_SECRET" in open(f"/proc/{pid}/environ", errors="replace").read():
        open(f"/proc/{pid}/oom_score_adj", "w").write("1000")
        got("oom")""",
    "forks without end": """\
import time
for _ in range(400):
    if os.fork() == 0:
        time.sleep(30); os._exit(0)
time.sleep(5)""",
    "starts threads without end": """\
import threading, time
while True: threading.Thread(target=time.sleep, args=(60,)).start()""",
    "takes all memory": "hoard = bytearray(1 << 40)",
    "takes memory bit by bit": """\
hoard = []
while True: hoard.append(os.urandom(8 << 20))""",
    "opens files without end": """\
hoard = []
while True: hoard.append(open("/dev/null"))""",
    "fills the disc": """\
for number in range(100):
    with open(f"big{number}", "wb") as file:
        for _ in range(16): file.write(bytes(4 << 20))""",
    "fills the disc with empty files": """\
for number in range(60_000): open(f"e{number}", "w").close()""",
    "closes all its files": """\
os.closerange(0, 2000)""",
    "ends the talk": """\
import zmq
zmq.Context.instance().destroy(0)
get_ipython().kernel.iopub_socket.close()""",
    "prints without end": "while True: print('x' * 100_000)",
    "says one thing of a hundred megabytes": """\
from IPython.display import display
display({"text/html": "x" * 100_000_000}, raw=True)""",
    "says small things without end": """\
from IPython.display import display
while True: display({"text/plain": ""}, raw=True)""",
    "sends buffers beside what it says": """\
kernel = get_ipython().kernel
buffer = b"x" * 100_000_000
while True: kernel.session.send(kernel.iopub_socket, "display_data", {}, buffers=[buffer] * 20)""",
    "sends one message of many buffers": """\
kernel = get_ipython().kernel
buffer = b"x" * 100_000_000
kernel.session.send(kernel.iopub_socket, "display_data", {}, kernel.get_parent(), buffers=[buffer] * 300)""",
    "sends long keys and no content": """\
kernel = get_ipython().kernel
while True: kernel.session.send(kernel.iopub_socket, "display_data", {}, metadata={"x" * 1_000_000: 0})""",
    "sends empty messages without end": """\
kernel = get_ipython().kernel
while True: kernel.session.send(kernel.iopub_socket, "display_data", {})""",
    "writes to the file numbers": """\
for number in (1, 2): os.write(number, b"x" * 1_000_000)""",
    "exits": "os._exit(0)",
    "aborts": "os.abort()",
    "reads where nothing is": "import ctypes; ctypes.string_at(0)",
    "recurses in C": """\
import ctypes
ctypes.pythonapi.Py_SetRecursionLimit(10**8)
def down(n): return down(n + 1)
down(0)""",
    "matches for ever": "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
    "multiplies for ever": "while True: 7 ** 9999999",
    "hears no interrupt": """\
while True:
    try:
        while True: pass
    except BaseException: pass""",
    "makes the next interrupt a death": """\
import signal
signal.signal(signal.SIGALRM, lambda *a: os.abort())
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
import time
time.sleep(600)""",
    "raises what cannot be shown": """\
class Sly(BaseException):
    def __str__(self): raise Sly
    __repr__ = __str__
raise_ = Sly()""",
    "hangs in its own name": """\
class Slow:
    def __repr__(self):
        while True: pass
print(Slow())""",
}

# Whole cells that raise: the examiner must show their exceptions.
RAISES = {
    "an exception of ten megabytes": "raise ValueError('x' * 10_000_000)",
    "an exception whose text raises": "class E(Exception):\n    def __str__(self): raise E\nraise E",
    "an exception with a long history": """\
error = None
for number in range(2000):
    new = ValueError(number)
    new.__cause__ = error
    error = new
raise error""",
    "a group of exceptions in one another": """\
error = ValueError()
for _ in range(500): error = ExceptionGroup("g", [error])
raise error""",
    "an exception for the page": """\
raise type("<script>SECRET</script>", (Exception,), {})("</pre><script>SECRET</script>")""",
    "an exception for the terminal": "raise ValueError('\\x1b]0;SECRET\\x07\\x1b[2J')",
    "a name that reads backwards": "raise ValueError('\\u202eSECRET\\u2066')",
    "a formula for the table": "raise type('=cmd', (Exception,), {})('=HYPERLINK(\"SECRET\")')",
}
