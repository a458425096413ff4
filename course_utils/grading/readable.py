"""Names and texts of others, made fit to be shown: in a terminal, in a table, in a path of ours."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200
# Control characters, halves of characters, line and paragraph separators, and what turns the direction of writing. Not
# all of the category Cf: Persian and several Indian languages write with its joiners.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNFIT_ON_A_PAGE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def readable(text: str, longest: int = LONGEST) -> str:
    """One line of text without what a terminal would obey, in the form that most systems write (Unicode NFC).

    A file's name that is no UTF-8 is read as Windows' western code page, which is what it nearly always is.
    """
    if any("\udc80" <= one <= "\udcff" for one in text):
        text = text.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    text = unicodedata.normalize("NFC", text)
    text = _UNFIT.sub("\ufffd", text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def for_page(text: str) -> str:
    """Text for a page, lines (Windows' too) and tabs as they are: without what a terminal would obey, and without what
    lets code be read in another order than it runs in.
    """
    return _UNFIT_ON_A_PAGE.sub("\ufffd", "\n".join(_lines(text)))


def for_terminal(text: str) -> str:
    """Lines of text, Windows' too, without what a terminal would obey."""
    return "\n".join(readable(line.replace("\t", "    "), 2000) for line in _lines(text))


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")
