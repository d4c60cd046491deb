"""The vocabulary of the tokenizer ``short-messages``: what text is made of, and what number each piece has."""

import hashlib
import json
from string import ascii_lowercase, digits, punctuation
from typing import Final

PAD: Final = "[PAD]"
UNKNOWN: Final = "[UNK]"
CONTINUED: Final = "##"  # before a piece that does not begin a word, as in BERT's vocabularies

_WORDS: Final = """
12 30 4417 45 60 account address after again although am amount an and answer app arrived at battery be best
better bicycle bill blender box broke but by came camera can cancelled card charged colour courier cracked
crashes customs dasy day days dear declined discount do does dyas empty enjoys error euros even every failed
family five for from get gets gone good got great half happy has have headset heater hello help hi hold home
honest hoped hot hour in invoice is it kettle keyboard kind knid know lamp left lid log loud love mail makes
missing money more morning moved my never nine nobody noise not nothing of off office on once open order parcel
patient pay phone pleaes please price printer quick radio rain receipt refund regards screen send ship shop
shows simply soon stars still stopped tax team ten than thank thanks the though three to too took tracking turn
twice two up update waited was watch went what when while why will with works wrong yes you your
"""
WORDS: Final = tuple(_WORDS.split())
"""The commoner words of the messages that ``messages-cls`` was taught with, sorted; the rest is spelled in letters."""

PIECES: Final = (
    PAD,
    UNKNOWN,
    *punctuation,
    *digits,
    *ascii_lowercase,
    *(CONTINUED + sign for sign in digits + ascii_lowercase),
    *WORDS,
)
"""A piece's id is its place. Printable ASCII can be put together from them, but for words of more than 100 letters."""


def digest() -> str:
    """SHA-256 of all that decides which ids a text becomes."""
    rules = {"model": "wordpiece", "lowercase": True, "split": "spaces and punctuation", "pieces": PIECES}
    return hashlib.sha256(json.dumps(rules, separators=(",", ":"), sort_keys=True).encode()).hexdigest()
