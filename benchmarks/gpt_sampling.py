"""Times drawing 500 characters with text/gpt, with and without the cache of keys and values.

Without it, the whole window goes through the network for every character. Both draw the same text
from the same seed, which is checked. The two take turns.

    AIGC_DATA_DIR=… python benchmarks/gpt_sampling.py --preset cpu --rounds 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch

from aigc_core.api import Blueprint
from aigc_core.config import resolve_config
from aigc_core.engine import choose_device, describe_device
from aigc_core.plugins import get_host


@torch.inference_mode()
def without_cache(generator, prompt: torch.Tensor, count: int, rng: torch.Generator) -> list[int]:
    """Draw tokens, running the whole window through the network for each."""
    tokens = prompt.to(rng.device)  # (B, T)
    for _ in range(count):
        window = tokens[:, -generator.window(tokens.shape[1]) :]
        logits = generator(window)[:, -1].float()
        token = torch.multinomial(logits.softmax(1), 1, generator=rng)
        tokens = torch.cat([tokens, token], dim=1)
    return tokens[:, prompt.shape[1] :].flatten().tolist()


def with_cache(generator, prompt: torch.Tensor, count: int, rng: torch.Generator) -> list[int]:
    """Draw tokens as the framework does."""
    steps = generator.stream(len(prompt), rng=rng, prompt=prompt[0])
    return torch.stack([next(steps) for _ in range(count)], dim=1).flatten().tolist()


def main() -> None:
    """Time both in turn and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=500)
    parser.add_argument("--samples", type=int, default=1, help="drawn at once")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    host = get_host()
    config = resolve_config(host, "text/gpt", preset=arguments.preset).config
    blueprint = Blueprint.of(host, config)
    parts = blueprint.parts(blueprint.load().spec, 0)
    generator = parts.trainer.generator().to(device).eval()
    prompt = parts.modality.encode("ROMEO:").expand(arguments.samples, -1)  # (B, T)
    variants = {"with": with_cache, "without": without_cache}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(arguments.rounds + 1):
        texts = []
        for name, draw in variants.items():
            rng = torch.Generator(device).manual_seed(number)
            start = time.perf_counter()
            texts.append(draw(generator, prompt, arguments.tokens, rng))
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
        same = sum(a == b for a, b in zip(*texts, strict=True))
        assert same == len(texts[0]), f"only {same} of {len(texts[0])} tokens are the same"
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"{describe_device(device)}, torch {torch.__version__}, {arguments.samples} x "
        f"{arguments.tokens} tokens, {torch.get_num_threads()} threads"
    )
    for name, median in medians.items():
        print(
            f"{name:8} the cache {median:6.3f} s ({min(seconds[name]):.3f}–"
            f"{max(seconds[name]):.3f}), {median / arguments.tokens * 1e3:.2f} ms a token"
        )
    pairs = zip(seconds["without"], seconds["with"], strict=True)
    ratio = statistics.median(without / cached for without, cached in pairs)
    print(json.dumps({"without/with": round(ratio, 2)}))


if __name__ == "__main__":
    main()
