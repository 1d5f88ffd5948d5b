"""Settings of texts and behaviour as vectors (`penchant.encode`, `penchant.represent`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from penchant.config.section import Section


class TuningConfig(Section):
    """How texts are tuned on behaviour: groups of texts that one user liked, set against the others of a batch."""

    n_rounds: int = Field(12, ge=1, description="rounds, at most")
    patience: int = Field(3, ge=1, description="rounds without a better score on held-out texts before training stops")
    n_groups: int = Field(4_000, ge=1, description="groups drawn for a round")
    group_size: int = Field(6, ge=2, description="texts in a group: each is to be told by the mean of the others")
    batch_size: int = Field(48, ge=2, description="groups in a batch: each has the others' texts as wrong answers")
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warm_up: float = Field(0.05, ge=0, le=1, description="share of the steps over which the learning rate rises")
    window: int = Field(10, ge=1, description="the texts of a group lie within so many likes of the user")
    debias: float = Field(0.5, ge=0, le=1, description="0 = groups as in the log, 1 = popular texts no more often")
    popularity: float = Field(0.5, ge=0, le=1, description="how far a vector also says how many like such a text")


class HeadConfig(TuningConfig):
    """`encode.tune = "head"`: a small network on top of frozen vectors."""

    n_hidden: int = Field(256, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)


class FullConfig(TuningConfig):
    """`encode.tune = "full"`: the transformer's own weights."""

    n_rounds: int = Field(8, ge=1, description="rounds, at most")
    patience: int = Field(2, ge=1, description="rounds without a better score on held-out texts before training stops")
    n_groups: int = Field(480, ge=1, description="groups drawn for a round")
    batch_size: int = Field(16, ge=2, description="groups in a batch: each has the others' texts as wrong answers")
    learning_rate: float = Field(1e-4, gt=0)
    n_layers: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        "all", description="last layers that are trained; all = with the word vectors"
    )


class StaticConfig(Section):
    """`encode.method = "static"`: vectors of tokens that a transformer has taught (`penchant.encode.static`)."""

    n_texts: int = Field(5_000, ge=0, description="texts that the teacher reads; 0 = tokens alone, nothing is measured")
    n_tokens: int = Field(
        30_000, ge=0, description="tokens kept, at most, beside those of the texts: new texts are read by them"
    )


class EncodeConfig(Section):
    """Item texts to vectors (`penchant.encode`)."""

    method: Literal["auto", "tfidf", "transformer", "static", "words", "none"] = "auto"
    model: str = Field(
        "",
        description="transformer, static (its teacher): Hugging Face name or local path, empty = packaged MiniLM; "
        "words: path of a file",
    )
    fields: tuple[str, ...] = ("title", "text", "categories")
    n_dims: int = Field(256, ge=2, le=4096, description="size of tfidf vectors after SVD; of static ones, at most")
    n_words: int = Field(
        50_000, ge=0, description="words: first words of the file that are kept for new texts, beside the catalogue's"
    )
    max_tokens: int = Field(128, ge=8, le=8192)
    batch_size: int = Field(64, ge=1)
    backend: Literal["auto", "torch", "onnx"] = "auto"
    precision: Literal["fp32", "int8"] = Field(
        "fp32", description="int8 = a transformer's weights in 8 bits, by ONNX runtime on the CPU; the loss is told"
    )
    static: StaticConfig = StaticConfig()
    tune: Literal["off", "head", "full"] = Field(
        "off", description="learn from behaviour: a network on top of the vectors, or the transformer's own weights"
    )
    tune_share: float = Field(0.1, gt=0, le=0.5, description="liked texts held out to judge tuning by")
    head: HeadConfig = HeadConfig()
    full: FullConfig = FullConfig()

    @model_validator(mode="after")
    def _something_to_tune(self) -> EncodeConfig:
        if self.tune == "full" and self.method not in ("auto", "transformer"):
            raise ValueError(f"'tune' 'full' is for the method transformer, not {self.method!r}; use 'head'")
        if self.tune == "head" and self.method == "none":
            raise ValueError("'tune' 'head' needs texts to be read; choose another method than 'none'")
        return self

    @model_validator(mode="after")
    def _something_to_quantise(self) -> EncodeConfig:
        if self.precision == "int8" and self.backend == "torch":
            raise ValueError("'precision' 'int8' runs by ONNX runtime, not by 'backend' 'torch'; use auto or onnx")
        if self.precision == "int8" and self.method not in ("auto", "transformer"):
            raise ValueError(f"'precision' 'int8' is for the method transformer, not {self.method!r}; use 'fp32'")
        return self


class NeuralConfig(Section):
    """Networks over behaviour: one training loop for all (`penchant.represent.training`)."""

    n_dims: int = Field(64, ge=2, le=2048, description="size of user and item vectors")
    n_layers: int = Field(2, ge=1, le=24)
    n_heads: int = Field(2, ge=1, le=32, description="of attention; must divide n_dims")
    dropout: float = Field(0.2, ge=0, lt=1)
    max_length: int = Field(50, ge=2, description="latest events of a user that a sequence model reads")
    item_dropout: float = Field(
        0.0, ge=0, le=1, description="how often a sequence model reads an item by its text alone; 1 = always"
    )
    text_map: Literal["learned", "principal"] = Field(
        "learned",
        description="how a sequence model reads texts: a map of its own, or their leading directions, which keep texts "
        "apart that another log tells apart (for a model to start from)",
    )
    n_negatives: int = Field(0, ge=0, description="items drawn for a sampled softmax; 0 = softmax over all items")
    n_epochs: int = Field(40, ge=1, description="rounds over the data, at most")
    patience: int = Field(4, ge=1, description="rounds without a better validation score before training stops")
    validation_share: float = Field(0.1, gt=0, le=0.5, description="latest events, by which the round is chosen")
    choose_on: Literal["late", "everyone"] = Field(
        "late",
        description="whose last events choose the round: users who act late (where there are 300), or with them "
        "everybody else: better at each user's very next item, in about three times the time",
    )
    batch_size: int = Field(128, ge=1, description="users in a batch")
    n_windows: int = Field(32, ge=1, description="histories of up to max_length events in a sequence model's batch")
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    bag: Literal["counts", "tfidf"] = Field("counts", description="weights of the items in an autoencoder's input")
    refit: bool = Field(True, description="train again on all events for the chosen rounds; false = half the time")

    @model_validator(mode="after")
    def _heads_fit(self) -> NeuralConfig:
        if self.n_dims % self.n_heads:
            raise ValueError(f"'n_heads' ({self.n_heads}) must divide 'n_dims' ({self.n_dims})")
        return self


class Word2VecConfig(Section):
    """Items as words, users as sentences (`penchant.represent.word2vec`)."""

    window: int = Field(5, ge=1, description="items to either side that an item is trained to foretell")
    n_negatives: int = Field(5, ge=1, description="noise items drawn for each pair")
    noise_power: float = Field(0.75, ge=-2, le=2, description="noise items are drawn by their frequency to this power")
    subsample: float = Field(0.0, ge=0, le=1, description="items of a greater share are left out at times; 0 = never")
    n_epochs: int = Field(20, ge=1, description="rounds over all users")
    learning_rate: float = Field(0.025, gt=0, le=1)


class GraphConfig(Section):
    """Networks over the user-item graph (`penchant.represent.graph`), beside `represent.neural`."""

    n_rounds: int = Field(1, ge=0, le=8, description="of two hops: items to their users and back; 0 = no graph")
    n_neighbours: int = Field(16, ge=0, description="drawn for each node in each round of training; 0 = all of them")
    n_like_items: int = Field(5, ge=0, description="nearest items by text that an item reads; 0 = none")
    target_share: float = Field(0.2, gt=0, le=0.5, description="of a user's items, hidden and to be foretold")


class RepresentConfig(Section):
    """What behaviour adds to items (`penchant.represent`)."""

    method: str = Field("factors", description="a row of penchant.represent.METHODS; mean = nothing is learned")
    neural: NeuralConfig = NeuralConfig()
    word2vec: Word2VecConfig = Word2VecConfig()
    graph: GraphConfig = GraphConfig()
    n_factors: int = Field(64, ge=2, le=1024)
    regularization: float = Field(10.0, ge=0, description="of the factors; larger = smoother, for sparser logs")
    max_history: int = Field(500, ge=1, description="only a user's latest items shape the vectors: bounds heavy users")
    min_item_events: int = Field(3, ge=1, description="items with fewer events get no behaviour vector")
    weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict,
        description="of text, behaviour and each vector column or attribute in the fused space; else 1, 2 and 1 each",
    )
    fuse_weights: Literal["given", "learned"] = Field(
        "given", description="learned = by how well each part foretells the latest events; a given 0 stays 0"
    )
    start_from: str = Field(
        "", description="folder of a fitted model: its sequence network and text encoder are where this one starts"
    )
    fine_tune: Literal["all", "items", "nothing"] = Field(
        "all",
        description="of a model started from: every weight learns (from a fifth of its weights, the rest fresh; from "
        "all of them, or anew, where that is better on held-out events), the items' own vectors only, or nothing",
    )
    attributes: tuple[str, ...] = Field(
        (), description="columns of the items (numbers or few values) that join as parts"
    )
    impute: bool = Field(True, description="guess a missing part of an item from its other parts, by a ridge map")

    @model_validator(mode="after")
    def _something_to_tune(self) -> RepresentConfig:
        if self.fine_tune != "all" and not self.start_from:
            raise ValueError(f"'fine_tune' {self.fine_tune!r} is of a model in 'start_from'; none is named")
        return self
