"""Short English messages of customers to a shop, in four classes. They are put together, not collected.

A message is a sentence on what it is about and, often, more around it: a greeting, an aside on another class's
matter, a closing word. Some words are mistyped. The label is what the main sentence is about, so a classifier that only
counts words is misled by some of the asides.

The messages of ``training_messages`` teach the packaged model ``messages-cls``; none of them is in the dataset.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from follower.generate.datasets.dataset import Dataset, Sample

SEED: Final = 20_261_123
TESTED: Final = 320  # messages in the dataset
TRAINED: Final = 960
ASIDES: Final = 4  # one message in four has one
TYPOS: Final = 12  # one word in twelve has two letters swapped
SHORTEST_MISTYPED: Final = 4  # letters

CLASSES: Final = ("billing", "delivery", "fault", "praise")

_MATTERS: Final = {
    "billing": (
        "I was charged twice for {thing}", "the invoice shows the wrong amount", "please refund the {sum} for {thing}",
        "my card was declined but the money is gone", "the discount of {sum} is missing on the bill",
        "why do I pay {sum} of tax on {thing}", "the receipt for {thing} never came by mail",
        "you took {sum} from my account", "I cancelled and still got an invoice", "the price of {thing} went up",
    ),
    "delivery": (
        "{thing} has not arrived", "the parcel is at the wrong address", "the courier left {thing} in the rain",
        "when will you ship {thing}", "tracking has not moved for {days} days", "{thing} is still at customs",
        "nobody was home when the parcel came", "I have waited {days} days for {thing}",
        "half of the order is missing from the box", "please send {thing} to my office",
    ),
    "fault": (
        "{thing} does not turn on", "the screen of {thing} is cracked", "{thing} stopped after {days} days",
        "the app crashes when I open it", "the battery is empty in an hour", "{thing} makes a loud noise",
        "I get an error when I log in", "the lid of {thing} broke off", "the update failed and nothing works",
        "{thing} gets too hot to hold",
    ),
    "praise": (
        "{thing} is simply great", "thank you for the quick help", "I love the colour of {thing}",
        "best shop I know", "my family enjoys {thing} every day", "your team was kind and patient",
        "{thing} works better than I hoped", "I will order again", "five stars for {thing}",
        "after {days} days I am still happy with {thing}",
    ),
}  # fmt: skip
_THINGS: Final = (
    "the kettle", "the lamp", "my phone", "the printer", "the headset", "the radio", "the bicycle", "the blender",
    "the keyboard", "the camera", "the heater", "the watch",
)  # fmt: skip
_SUMS: Final = ("12 euros", "30 euros", "45 euros", "8 euros", "60 euros")
_DAYS: Final = ("two", "three", "five", "nine", "ten")
_OPENINGS: Final = ("", "", "hello,", "good morning,", "dear team,", "hi,", "to be honest,", "once more:")
_LINKS: Final = ("although", "even though", "and yes,", "while")
_CLOSINGS: Final = ("", "", "please answer soon", "what can you do?", "kind regards", "order 4417", "thanks")


def short_messages() -> Dataset:
    """UTF-8 texts that no training message equals; the label is one of ``CLASSES``, each as often as the others."""
    samples = (
        Sample(f"message-{index:03}.txt", text.encode(), label) for index, (text, label) in enumerate(_split()[1])
    )
    return Dataset("short-messages", 1, tuple(samples))


def training_messages() -> list[tuple[str, str]]:
    """Texts and labels to learn from."""
    return _split()[0]


def _split() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Training and test messages: the first ones that are drawn, and the next that are not among those."""
    drawn = _messages()
    trained = [next(drawn) for _ in range(TRAINED)]
    seen = {text for text, _ in trained}
    tested: list[tuple[str, str]] = []
    for label in CLASSES * (TESTED // len(CLASSES)):
        message = next(each for each in drawn if each[1] == label and each[0] not in seen)
        seen.add(message[0])
        tested.append(message)
    return trained, tested


def _messages() -> Iterator[tuple[str, str]]:
    """Without end, the classes in turn."""
    random = _Draws(SEED)
    while True:
        for label in CLASSES:
            yield _mistyped(_message(label, random), random), label


def _message(label: str, random: "_Draws") -> str:
    parts = [random.of(_OPENINGS), _sentence(label, random)]
    if not random.below(ASIDES):
        other = random.of([each for each in CLASSES if each != label])
        parts += [random.of(_LINKS), _sentence(other, random)]
    return " ".join(part for part in (*parts, random.of(_CLOSINGS)) if part)


def _sentence(label: str, random: "_Draws") -> str:
    pattern = random.of(_MATTERS[label])
    return pattern.format(thing=random.of(_THINGS), sum=random.of(_SUMS), days=random.of(_DAYS))


def _mistyped(text: str, random: "_Draws") -> str:
    return " ".join(_swapped(word, random) if not random.below(TYPOS) else word for word in text.split(" "))


def _swapped(word: str, random: "_Draws") -> str:
    """Two neighbours inside a word change places; short words and numbers stay."""
    if len(word) < SHORTEST_MISTYPED or not word.isalpha():
        return word
    at = 1 + random.below(len(word) - 2)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


class _Draws:
    """Choices from the raw output of PCG64, which numpy keeps fixed, unlike its distributions (NEP 19)."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def below(self, limit: int) -> int:
        return int(self._bits.random_raw()) % limit

    def of(self, choices: Sequence[str]) -> str:
        return choices[self.below(len(choices))]
