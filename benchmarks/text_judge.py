"""How good texts of a character model are: their variety, their words, and a GPT's opinion.

Distinct-n is the share of different runs of n words, or characters, among all of them (Li et al.
2016, "A Diversity-Promoting Objective Function for Neural Conversation Models"); it falls when
there are more texts, so compare equally many of one length. New are the runs that the training text
does not have: many of held-out text's longer ones are new, too. A GPT that was trained on the same
text gives the nats a character of each text: lower is more like it, but a text that repeats itself
is low, too, so look at all of them.

    aigc train text/gpt --preset cpu --out judge
    AIGC_DATA_DIR=… python benchmarks/text_judge.py judge RUN… --count 1000
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from aigc_core import Modality, Request, Sampler, load_generator, open_sampler
from aigc_core.api.lineage import blueprint_of

LONGEST = 4
"""Words, or characters, of the longest runs that are counted."""


def runs(row: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Return all runs of ``n`` words of a list, or ``n`` characters of a text."""
    return [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]


def shares(
    items: Sequence[Sequence[str]], training: Sequence[str]
) -> tuple[list[float], list[float]]:
    """Return, for runs of 1 to 4, the shares of different ones and of those not in ``training``."""
    distinct, new = [], []
    for n in range(1, LONGEST + 1):
        found = [run for row in items for run in runs(row, n)]
        known = set(found).intersection(runs(training, n))
        distinct.append(round(len(set(found)) / max(len(found), 1), 4))
        new.append(round(sum(run not in known for run in found) / max(len(found), 1), 4))
    return distinct, new


def words(text: str) -> list[str]:
    """Return a text's words, in small letters, without those that its ends may cut."""
    return re.findall(r"(?<=[^A-Za-z'])[a-z']+(?=[^A-Za-z'])", text.lower())


@torch.no_grad()
def nats(gpt: Any, modality: Any, texts: Sequence[str]) -> float:
    """Return a GPT's nats a character, of all but the first of each text; all of one length."""
    tokens = torch.stack([modality.encode(text) for text in texts])[:, : gpt.sample_length]
    total = 0.0
    for part in tokens.split(64):
        logits = gpt(part[:, :-1]).float().log_softmax(2)
        total -= float(logits.gather(2, part[:, 1:, None]).sum())
    return total / tokens[:, 1:].numel()


def looked_at(name: str, texts: list[str], training: str, judge: Any, modality: Any) -> None:
    """Print one line about texts; lists are about runs of 1, 2, 3 and 4."""
    found = [words(text) for text in texts]
    distinct_words, new_words = shares(found, words(training))
    distinct_characters, new_characters = shares(texts, training)
    facts = {
        "nats a character": round(nats(judge, modality, texts), 4),
        "words known": round(1 - new_words[0], 4) if any(found) else 0.0,
        "distinct words": distinct_words,
        "new words": new_words,
        "distinct characters": distinct_characters,
        "new characters": new_characters,
    }
    print(name, json.dumps(facts), flush=True)


def drawn(sampler: Sampler, asked: Request, length: int) -> list[str]:
    """Return texts of a run, cut to a length."""
    codec: Any = sampler.modality
    return [codec.decode(row)[:length] for row in sampler.samples(asked)]


def main() -> None:
    """Print a line for held-out text, and one for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("judge", type=Path, help="a run of text/gpt with single characters")
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=8, help="texts to print of each run")
    arguments = parser.parse_args()
    judged = open_sampler(arguments.judge)
    judge = load_generator(judged.run)
    modality: Modality = judged.modality
    blueprint = blueprint_of(judged.run)
    codec: Any = modality
    split = {name: blueprint.load(name).arrays["samples"] for name in ("train", "validation")}
    apart = split["train"][:: split["train"].shape[1]]  # windows side by side, without overlap
    training = codec.decode(apart.flatten())
    rows = torch.linspace(0, len(split["validation"]) - 1, arguments.count).long()
    real = [codec.decode(row)[: arguments.length] for row in split["validation"][rows]]
    looked_at("held-out text", real, training, judge, modality)
    asked = Request(count=arguments.count, seed=arguments.seed)
    for path in arguments.runs:
        texts = drawn(open_sampler(path), asked, arguments.length)
        looked_at(str(path), texts, training, judge, modality)
        for text in texts[: arguments.show]:
            print("   ", json.dumps(text))


if __name__ == "__main__":
    main()
