"""One word per thing, everywhere that people read: the glossary, and a test that holds the package to it."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: What is not to be written (a regular expression, whatever the case) -> the better word.
GLOSSARY = {
    r"\bpictures?\b": "image",
    r"\bphoto(graph)?s?\b": "image",
    r"\b(folder|row|epoch|pass|batch|step|image|line|file|table|column|second|microsecond|bag|thread|command)s? "
    r"an? (class|epoch|image|row|second|batch|phase|step|round|resample|command|bag|file)\b": "per",
    r"\bshares? of (the|all|its|samples|rows)\b": "fraction of",
    r"\bpart of the (inputs|rows|phase|samples)\b": "fraction of",
    r"\bamiss\b": "wrong, or the problem itself",
    r"\blearn(s|ed|t)? along\b": "is fine-tuned",
    r"\btrained along\b": "fine-tuned",
    r"\bits like\b": "similar ones",
    r"\bwhat becomes of\b": "how to handle",
    r"\bin everybody's mouth\b": "commonly recommended",
    r"\bset aside\b": "validation set, or split off",
    r"\b(learn|learned|learnt) from\b": "train on, or training set",
    r"\b(is|are|be|was) told\b": "is reported, or raises",
    r"\b(tell|tells|told|telling) .{0,40}\bapart\b": "distinguish",
    r"\b(come|comes|came) apart\b": "diverge",
    r"\btaken up again\b": "resumed",
    r"\bthe very (one|same)\b": "the same",
    r"\bwhat is no\b": "what is not, or the thing itself",
    r"(?<!there\s)\b(is|are) no (number|image|model|column|name|layer|function|classifier)\b": "is not a",
    r"\bcompared with nothing\b": "skipped",
    r"\bmere function\b": "function",
    r"\bcommonest\b": "most confused, or most common",
    r"\bsurest of\b": "most confident",
    r"\btaken for (what|a|another|the|one another)\b": "predicted as",
    r"\bfound least often\b": "lowest recall",
    r"\bnot to be mirrored\b": "must not be mirrored",
    r"\bmust be as many\b": "the two numbers, and which one is expected",
    r"\b(headline|class|every|each|undefined|benchmark) figures?\b": "metric",
    r"\bfigure_text\b|\bclass_figures\b|\bhow sure the figures\b": "metric",
}

#: The same for what users read of the package: docstrings, messages and help, not comments. Home-made idioms and
#: inversions that readers stumbled over.
IN_STRINGS = {
    r"\banew\b": "again",
    r"\bfor good\b": "permanently",
    r"\bwhoever\b": "who it is: the caller, a process",
    r"\bat hand\b": "available, known or installed",
    r"\b(speaks?|spoke) for\b": "supports",
    r"\bthe field\b": "what is common",
    r"\bmend(s|ed)?\b": "correct, or repair",
    r"(?<!there\s)\b(is|are) no (array|HDF5|Keras|linear|part|report|table)\b": "is not a",
    r"\b(threads?|process(es)?|bytes|kB|KB|MB) an? (core|image|row|machine)\b": "per",
    r"\bas (can be|ever)\b": "as possible, or as usual",
    r"\bleast price\b|\bcosts log-loss\b": "lowest cost; worsens log-loss",
    r"\bhow sure (the|that|they)\b": "intervals",
    r"\bmost bytes\b": "maximum size in bytes",
}

#: (file, what is written there) -> the reason why it stays.
EXCEPTIONS = {
    ("tests/test_words.py", ""): "the glossary itself",
    ("skcnn/datasets/_flowers.py", "flower_photos"): "the name of a published data set and of its folder",
    ("skcnn/datasets/_flowers.py", "LICENSE"): "the licences are those of the photographers",
}


def shown_files():
    """Return the tracked files that people read: code, templates, documents, benchmarks."""
    listed = subprocess.run(
        ["git", "ls-files", "skcnn", "docs", "benchmarks", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    return [name for name in listed if name.endswith((".py", ".md", ".html", ".js"))]


def strings(text):
    """Return the strings of a module, each at the line where it begins; the rest is empty lines."""
    lines = [""] * (text.count("\n") + 1)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for number, line in enumerate(node.value.split("\n"), node.lineno - 1):
                # A string with escapes may have more lines than its source.
                lines[min(number, len(lines) - 1)] += " " + line
    return "\n".join(lines)


def found(text, name="", glossary=GLOSSARY):
    """Return, for each word that is not to be written, its line and the better word.

    A rule also sees a phrase that the end of a line, or of a string, cuts in two.
    """
    excused = [words for (file, words) in EXCEPTIONS if file == name]
    joined = re.sub(r'"?[ \t]*\n[ \t#*>]*f?"?', lambda gap: " " * (len(gap.group()) - 1) + "\n", text)
    flat = joined.replace("\n", " ")
    lines = text.split("\n")
    places = []
    for pattern, better in glossary.items():
        spaced = pattern.replace(" ", r"\s+")
        for match in re.finditer(spaced, flat, re.IGNORECASE):
            number = text.count("\n", 0, match.start())
            if any(words in lines[number] for words in excused):
                continue
            places.append(f"{name}:{number + 1}: {' '.join(match.group().split())!r}; write: {better}")
    return places


@pytest.mark.parametrize("name", shown_files())
def test_words_are_those_of_the_glossary(name):
    text = (ROOT / name).read_text("utf-8")
    assert not (places := found(text, name)), "\n".join(places)


@pytest.mark.parametrize("name", [name for name in shown_files() if name.startswith("skcnn/") and name.endswith(".py")])
def test_strings_are_plain_english(name):
    text = strings((ROOT / name).read_text("utf-8"))
    assert not (places := found(text, name, IN_STRINGS)), "\n".join(places)


@pytest.mark.parametrize(
    "sentence",
    [
        "It is computed anew.",
        "Kept for good.",
        "Whoever reads it sees the old page.",
        "Both engines are at hand.",
        "Which regions speak for the class.",
        "As in the field.",
        "Drop these rows or mend the scores.",
        "A str is no Keras model.",
        "There is a thread a core.",
        "As few false positives as can be.",
        "The threshold at the least price.",
        "How sure that is.",
        "Most bytes of memory.",
    ],
)
def test_every_rule_for_strings_can_fail(sentence):
    assert found(strings(f"# {sentence}\nx = f'{{x}} {sentence}'"), glossary=IN_STRINGS)
    assert not found(strings(f"# {sentence}\nx = 1"), glossary=IN_STRINGS)


def test_every_rule_for_strings_is_tried():
    sentences = " ".join(test_every_rule_for_strings_can_fail.pytestmark[0].args[1])
    untried = [pattern for pattern in IN_STRINGS if not re.search(pattern, sentences, re.IGNORECASE)]
    assert not untried


@pytest.mark.parametrize(
    "sentence",
    [
        "The picture is good.",
        "Photographs are read.",
        "One folder a class.",
        "history_ has a row an epoch.",
        "A share of the rows.",
        "Part of the inputs that is left out.",
        "Something is amiss.",
        "The layers learn along.",
        "The network is trained along.",
        "Kept with its like.",
        "What becomes of another aspect ratio.",
        "Three remedies are in everybody's mouth.",
        "Rows that were set aside.",
        "The rows learned from.",
        "It is told at once.",
        "At least two are needed to tell them apart.",
        "Training came apart.",
        "A run can be taken up again.",
        "The very one in training.",
        "What is no number is refused.",
        "The file is no model.",
        "They were compared with nothing.",
        "A mere function.",
        "The commonest mistakes.",
        "Right, and surest of it.",
        "What is taken for what.",
        "The class found least often.",
        "Digits are not to be mirrored.",
        "They must be as many.",
        "The headline figures.",
        "figure_text(value)",
        "One folder a\n    class, where a line ends.",
        'raise ValueError("One folder a "\n    f"class")',
    ],
)
def test_every_rule_can_fail(sentence):
    assert found(sentence)


def test_every_rule_is_tried():
    sentences = " ".join(test_every_rule_can_fail.pytestmark[0].args[1])
    untried = [pattern for pattern in GLOSSARY if not re.search(pattern, sentences, re.IGNORECASE)]
    assert not untried


def test_good_words_pass():
    assert not found("One folder per class. The fraction of the rows in the validation set; a figure is a plot.")


def test_exceptions_are_used():
    for (name, words), reason in EXCEPTIONS.items():
        assert reason
        assert words in (ROOT / name).read_text("utf-8")
