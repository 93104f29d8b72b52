"""How good texts of a character model are: their variety, their words, and a GPT's opinion.

Distinct-n is the share of different runs of n words, or characters, among all of them (Li et al.
2016, "A Diversity-Promoting Objective Function for Neural Conversation Models"). A GPT that was
trained on the same text gives the nats a character of each text: lower is more like it, but a
text that repeats itself is low, too, so look at both.

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
from torch import Tensor

from aigc_core import Modality, Request, Sampler, load_generator, open_sampler
from aigc_core.api.lineage import blueprint_of


def distinct(items: Sequence[Sequence[str]], n: int) -> float:
    """Return the share of different runs of ``n`` among all in these sequences."""
    runs = [tuple(row[i : i + n]) for row in items for i in range(len(row) - n + 1)]
    return len(set(runs)) / max(len(runs), 1)


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


def looked_at(name: str, texts: list[str], known: set[str], judge: Any, modality: Any) -> None:
    """Print one line about texts."""
    found = [words(text) for text in texts]
    flat = [word for row in found for word in row]
    facts = {
        "nats a character": nats(judge, modality, texts),
        "words known": sum(word in known for word in flat) / max(len(flat), 1),
        "distinct-1 words": distinct(found, 1),
        "distinct-2 words": distinct(found, 2),
        "distinct-4 characters": distinct(texts, 4),
    }
    print(name, json.dumps({key: round(value, 4) for key, value in facts.items()}), flush=True)


def drawn(sampler: Sampler, count: int, length: int, controls: dict[str, Any]) -> list[str]:
    """Return texts of a run, cut to a length."""
    tokens: Tensor = sampler.draw(Request(count=count, controls=controls))
    codec: Any = sampler.modality
    return [codec.decode(row)[:length] for row in tokens]


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
    known = set(words(codec.decode(split["train"][::64].flatten())))
    rows = torch.linspace(0, len(split["validation"]) - 1, arguments.count).long()
    real = [codec.decode(row)[: arguments.length] for row in split["validation"][rows]]
    looked_at("held-out text", real, known, judge, modality)
    for path in arguments.runs:
        texts = drawn(open_sampler(path), arguments.count, arguments.length, {})
        looked_at(str(path), texts, known, judge, modality)
        for text in texts[: arguments.show]:
            print("   ", json.dumps(text))


if __name__ == "__main__":
    main()
