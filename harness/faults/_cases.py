"""Why a fault changes nothing in a case: what many of them need of it. The reason, or an empty text."""

from harness.spec import Case, DecoderModel, MlpModel, SgdOptimizer


def no_decoder(case: Case) -> str:
    """A perceptron has neither attention, nor positions, nor a sequence."""
    return "" if isinstance(case.model, DecoderModel) else "an mlp has no sequence, no attention and no mask"


def no_dropout(case: Case) -> str:
    """Without dropout, training and evaluation mode compute the same."""
    if isinstance(case.model, DecoderModel) and case.model.decoder.dropout:
        return ""
    return "without dropout both modes compute the same"


def dropout(case: Case) -> str:
    """Which masks are drawn for which sample depends on how a batch is cut."""
    return "" if no_dropout(case) else "with dropout, other parts of a batch draw other masks"


def constant_schedule(case: Case) -> str:
    """A constant learning rate is the same at all steps."""
    schedule = case.config.schedule
    return "the learning rate is constant" if schedule.kind == "constant" and schedule.warmup <= 1 else ""


def one_micro_batch(case: Case) -> str:
    """Nothing is accumulated."""
    return "" if case.config.micro_batches > 1 else "there is one micro-batch a step"


def equal_lengths(case: Case) -> str:
    """All micro-batches count as many targets."""
    lengths = case.config.lengths
    return "all samples are equally long" if lengths is None or lengths[0] == lengths[1] else ""


def no_padding(case: Case) -> str:
    """All samples fill the sequence."""
    lengths = case.config.lengths
    return "no sample is padded" if lengths is None or lengths[0] == case.config.sequence else ""


def no_clipping(case: Case) -> str:
    """No limit is set."""
    return "" if case.config.clip_norm is not None else "gradients are not clipped"


def no_weight_decay(case: Case) -> str:
    """Nothing decays."""
    optimizer = case.config.optimizer
    options = optimizer.sgd if isinstance(optimizer, SgdOptimizer) else optimizer.adamw
    return "" if options.weight_decay else "there is no weight decay"


def no_optimizer_state(case: Case) -> str:
    """Gradient descent without momentum remembers nothing."""
    optimizer = case.config.optimizer
    plain = isinstance(optimizer, SgdOptimizer) and not optimizer.sgd.momentum
    return "SGD without momentum remembers nothing" if plain else ""


def no_adam(case: Case) -> str:
    """Another optimizer."""
    return "the optimizer is SGD" if isinstance(case.config.optimizer, SgdOptimizer) else ""


def regression(case: Case) -> str:
    """Numbers are predicted, not classes."""
    numbers = isinstance(case.model, MlpModel) and case.model.mlp.task == "regression"
    return "a regression has no classes" if numbers else ""


def one_rank(case: Case) -> str:
    """Nothing is distributed."""
    return "" if case.config.ranks > 1 else "one process trains"
