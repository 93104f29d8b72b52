"""The base class of all settings, and those of optimisers and sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from aigc_core.complaints import Complaint, first_complaint
from aigc_core.errors import ConfigError, did_you_mean, shown

if TYPE_CHECKING:  # so that type checkers see the signature that pydantic gives a class
    from pydantic._internal._model_construction import ModelMetaclass as _ReadableErrors
else:

    class _ReadableErrors(type(BaseModel)):
        """Makes ``Config(...)`` in a program fail with a readable message, as the CLI does.

        ``model_validate``, which configurations go through, is unchanged.
        """

        def __call__(cls, *args: Any, **values: Any) -> Any:
            try:
                return super().__call__(*args, **values)
            except ValidationError as error:
                raise ConfigError(_in_words(cls, first_complaint(error, values))) from error


def _in_words(cls: type[BaseModel], complaint: Complaint) -> str:
    name = cls.__name__
    if complaint.kind == "extra_forbidden":
        hint = did_you_mean(str(complaint.path[-1]), cls.model_fields)
        return f"{name} has no setting '{complaint.key}'.{hint}"
    if complaint.kind == "missing":
        return f"{name} needs '{complaint.key}'."
    given = f"{complaint.key}={shown(complaint.value)}: " if complaint.path else ""
    return f"{name} is not valid: {given}{complaint.problem}."


class ConfigModel(BaseModel, metaclass=_ReadableErrors):
    """A frozen pydantic model that rejects unknown keys and non-finite numbers.

    Derive from it for a recipe's ``model.*`` and ``trainer.*`` and a dataset's
    ``dataset.options.*``. Keep the defining module free of torch: listings, ``aigc config`` and
    the checks of a command line import it, and nothing else, before a run starts.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
        defer_build=True,  # most commands use few of the models, and building one takes long
        protected_namespaces=(),
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false for numbers: pydantic takes them as 1 and 0, which nobody means."""
        if _holds_bool(value) and info.field_name:
            types = _types_in(cls.model_fields[info.field_name].annotation)
            if types & {int, float} and not types & {bool, Any}:
                raise ValueError("it should be a number, not true or false")
        return value


def _holds_bool(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_bool, value))
    return isinstance(value, bool)


def _types_in(annotation: Any) -> set[Any]:
    """Return the types that an annotation is made of, through unions, lists and the like."""
    inner = get_args(annotation)
    return set().union(*map(_types_in, inner)) if inner else {annotation}


class OptimizerConfig(ConfigModel):
    """A phase's optimiser."""

    name: str = Field(default="adam", min_length=1)
    """Algorithm: adam (Kingma & Ba 2015), adamw (Loshchilov & Hutter 2019) or sgd, which are
    fastest; or the name of another class of torch.optim, such as RMSprop."""
    options: dict[str, bool | int | float | str | tuple[float, ...]] = {}
    """Further arguments of such a class, by the names that PyTorch gives them."""
    lr: float = Field(default=2e-4, gt=0, le=10)
    """Learning rate."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of the first and second moment (adam, adamw)."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator (adam, adamw)."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Momentum (sgd)."""
    weight_decay: float = Field(default=0.0, ge=0)
    """L2 penalty (adam, sgd) or decoupled decay (adamw)."""
    decay_matrices_only: bool = False
    """Decay only parameters of two or more dimensions: no biases, no scales of norms."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """How the learning rate falls after the warm-up."""
    warmup_steps: int = Field(default=0, ge=0, le=10**9)
    """Steps over which the learning rate rises linearly from near zero."""
    decay_steps: int | None = Field(default=None, ge=1, le=10**9)
    """Step at which the schedule reaches final_lr; null for engine.schedule_steps, by default the
    last step."""
    final_lr: float = Field(default=0.0, ge=0, le=10)
    """Learning rate at the end of cosine and linear schedules."""
    clip_grad_norm: float | None = Field(default=None, gt=0)
    """Scale this phase's gradients down to this total L2 norm; null for no clipping."""

    @property
    def scheduled(self) -> bool:
        """Whether the learning rate changes from step to step."""
        return self.schedule != "constant" or self.warmup_steps > 0

    @model_validator(mode="after")
    def _schedule_is_consistent(self) -> OptimizerConfig:
        if self.final_lr > self.lr:
            raise ValueError(f"final_lr={self.final_lr} is more than lr={self.lr}")
        if self.decay_steps is not None and self.decay_steps <= self.warmup_steps:
            raise ValueError("decay_steps must be more than warmup_steps")
        return self

    @model_validator(mode="after")
    def _betas_in_range(self) -> OptimizerConfig:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError("betas must each be at least 0 and less than 1")
        return self


class PrivacyConfig(ConfigModel):
    """How a phase that sees the data learns with differential privacy (Abadi et al. 2016).

    The unit that is protected is one sample. Needs ``dp-accounting``.
    """

    clip_norm: float = Field(default=1.0, gt=0)
    """L2 norm to which the gradient of each sample is cut."""
    noise_multiplier: float | None = Field(default=None, ge=0, le=1000)
    """Standard deviation of the noise on the sum of gradients, in units of clip_norm; 0 for none,
    which protects nothing. Null to compute it from epsilon and the number of steps."""
    epsilon: float | None = Field(default=None, gt=0, le=1000)
    """The budget: training ends before it is exceeded. Null for no limit."""
    delta: float = Field(default=1e-5, gt=0, lt=1)
    """Probability with which the promise may fail; less than 1 / number of samples."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> PrivacyConfig:
        if self.noise_multiplier is None and self.epsilon is None:
            raise ValueError("give epsilon, or noise_multiplier")
        if self.noise_multiplier == 0 and self.epsilon is not None:
            raise ValueError("noise_multiplier=0 is not private at any epsilon: leave one out")
        return self


class NoControls(ConfigModel):
    """The controls of a generator that has only one way to draw."""


class ChoiceControls(ConfigModel):
    """How a token is chosen from a network's prediction."""

    temperature: float = Field(default=1.0, ge=0.001, le=100)
    """Divides the logits: below 1 more certain, above 1 more varied."""
    top_k: int | None = Field(default=None, ge=1)
    """Only the k most probable tokens; null for all, 1 for always the most probable."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Only the smallest set of tokens whose probabilities sum to at least this; 1 for all."""


class TokenControls(ChoiceControls):
    """How tokens are drawn, one after another."""

    tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    """How many tokens a sample gets; null for as many as one of the data has."""
    repetition_penalty: float = Field(default=1.0, ge=1, le=100)
    """Makes tokens that are already in the sequence less probable; 1 for no penalty."""
