"""What runs inside the sandbox, beside the learner's code. Nothing in here knows an expected value.

`fork_server` loads libraries and model once and forks a kernel for each notebook; `isolation` shuts one such kernel
in; `probe` runs an answer on the hidden inputs and sends the values out; `launch_kernel` is the command that Jupyter
starts, outside, in a kernel's place. `settings` goes in, `reports` come out.
"""
