"""The code of the letters plugin: tokens, and a generator that writes one after the other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from aigc_core import (
    Batch,
    ConfigModel,
    Dataset,
    Generator,
    Modality,
    Phase,
    RecipeContext,
    SampleSpec,
    SampleStore,
    StepState,
    Trainer,
)

LETTERS, LENGTH = 26, 4
NAMES = "anna otto emma emil adam elsa nora hugo mila theo lina noah"


class Words(Modality):
    formats = ("txt",)
    sample_dtype = torch.int64
    sample_range = (0, LETTERS - 1)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return self.spec.shape

    def to_model(self, stored: Tensor) -> Tensor:
        return stored.long()

    def to_stored(self, samples: Tensor) -> Tensor:
        return samples.clamp(0, LETTERS - 1).to(torch.uint8)

    def save(self, stored: Tensor, folder: Path, *, format: str, start: int = 0) -> list[Path]:
        paths = [folder / f"{number}.txt" for number in range(start, start + len(stored))]
        for path, word in zip(paths, stored, strict=True):
            path.write_text(_spelt(word), encoding="utf-8")
        return paths

    def read(self, path: Path) -> Tensor:
        return _tokens(path.read_text(encoding="utf-8"))

    def preview(self, stored: Tensor, path: Path) -> Path:
        target = path.with_name(f"{path.name}.txt")
        target.write_text("\n".join(map(_spelt, stored)), encoding="utf-8")
        return target


class UnboundedWords(Words):
    sample_range = None


def _spelt(word: Tensor) -> str:
    return "".join(chr(97 + letter) for letter in word.tolist())


def _tokens(word: str) -> Tensor:
    return torch.tensor([ord(letter) - 97 for letter in word], dtype=torch.uint8)


class Names(Dataset):
    def prepare(self) -> None:
        pass

    def load(self, split: str) -> SampleStore:
        samples = torch.stack([_tokens(name) for name in NAMES.split()])  # (12, 4)
        return SampleStore({"samples": samples}, SampleSpec(shape=(LENGTH,), dtype="uint8"))


class Bigrams(Generator):
    sample_chunk = 2
    written = LENGTH

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(LETTERS + 1, width)  # and one for the beginning
        self.head = nn.Linear(width, LETTERS)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embedding(tokens))  # (B, T) -> (B, T, 26)

    def sample(
        self,
        count: int,
        *,
        rng: torch.Generator,
        conditions: Mapping[str, Tensor],
        controls: ConfigModel,
    ) -> Tensor:
        word = torch.full((count, 1), LETTERS, device=rng.device)
        for _ in range(self.written):
            chances = self(word[:, -1]).softmax(-1)  # (B, 26)
            word = torch.cat([word, torch.multinomial(chances, 1, generator=rng)], dim=1)
        return word[:, 1:]  # (B, 1 + 4) -> (B, 4)


class LikelihoodTrainer(Trainer):
    def __init__(self, network: Bigrams, context: RecipeContext) -> None:
        self._network = network
        self._optimizer = context.trainer.optimizer

    def networks(self) -> Mapping[str, nn.Module]:
        return {"network": self._network}

    def generator(self) -> Generator:
        return self._network

    def phases(self) -> Sequence[Phase]:
        return [Phase("likelihood", ("network",), self._loss, self._optimizer)]

    def _loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        words = batch["samples"]
        before = functional.pad(words, (1, 0), value=LETTERS)[:, :-1]  # (B, T)
        logits = self._network(before)
        return {"nats": functional.cross_entropy(logits.flatten(0, 1).float(), words.flatten())}


def build(context: RecipeContext) -> LikelihoodTrainer:
    return LikelihoodTrainer(Bigrams(context.model.width), context)


class LongerBigrams(Bigrams):
    """Says how long its words are."""

    sample_length = 6
    written = 6


class ShorterBigrams(Bigrams):
    """Says another length than its words have."""

    sample_length = 3
    written = 2


def writes_more(context: RecipeContext) -> LikelihoodTrainer:
    return LikelihoodTrainer(LongerBigrams(context.model.width), context)


def writes_fewer(context: RecipeContext) -> LikelihoodTrainer:
    return LikelihoodTrainer(ShorterBigrams(context.model.width), context)
