"""How long one 512 px face takes, against the arithmetic floor (operations over the matmul rate).

    python tests/benchmarks/model_speed.py [--threads 2] [--model FOLDER] [--no-compile]

Without --model the large configuration with random weights is timed: the time does not depend
on their values. Prints Markdown; run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import vidref.model
from vidref.model.aligner import Shown
from vidref.model.bundle import RestorerNetwork, load_network
from vidref.model.config import read_config
from vidref.model.context import Reference
from vidref.model.restorer import Combine, Face, Restorer, Sampling

LARGE = Path(vidref.model.__file__).parent.parent / "configs" / "bundled-large.yaml"
REFERENCES = 3


def median_seconds(call: Callable[[], object], repeats: int = 5) -> float:
    call()
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def matmul_rate(size: int = 2048) -> float:
    """Operations per second of a large fp32 product on random numbers."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    return 2 * size**3 / median_seconds(lambda: a @ b)


def network_inputs(network: RestorerNetwork, batch: int) -> tuple[object, ...]:
    """What the denoiser is called with: latents, time, tokens, and the references in place."""
    config = network.config
    size = config.working_size or config.size
    side = size // config.codec.factor
    z = torch.randn(batch, config.codec.channels, side, side)
    count = REFERENCES * config.context.tokens
    tokens = torch.randn(batch, count, config.context.width)
    shown = None
    if config.aligner:
        shown = Shown(torch.randn(batch, 3, size, size), torch.ones(batch))
    time_step = torch.full((batch,), 500)
    return z, torch.randn_like(z), time_step, tokens, torch.ones(batch, count), shown


def operations(network: RestorerNetwork) -> tuple[float, float]:
    """Floating-point operations for one face: of one evaluation, and of bringing its references
    into place, which is done once; attention is counted too."""
    inputs = network_inputs(network, 1)
    size = network.config.working_size or network.config.size
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as evaluation:
            network.denoiser(*inputs)
        with FlopCounterMode(display=False) as bringing:
            if network.config.aligner:
                network.bring(
                    cast(torch.Tensor, inputs[1]), torch.zeros(1, REFERENCES, 3, size, size)
                )
    return float(evaluation.get_total_flops()), float(bringing.get_total_flops())


def restorers(network: RestorerNetwork, work: float, bringing: float, rate: float) -> list[str]:
    """Whole faces: noise, context, sampling, decoding, colour."""
    lines = [
        "| references | combine | batch | steps | s per face | floor s | share of floor |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    plans: list[tuple[Combine, int, int]] = [
        ("concatenated", batch, steps) for batch in (1, 4) for steps in (1, 2, 4)
    ]
    plans.append(("average", 4, 4))
    for combine, batch, steps in plans:
        restorer = Restorer(network, batch=batch, max_references=REFERENCES)
        size, context = network.config.size, network.config.context
        dimension = context.identity.dimension if context.identity else 0
        references = [
            Reference(torch.rand(1, 3, size, size) * 2 - 1, torch.randn(1, dimension))
            for _ in range(REFERENCES)
        ]
        known = restorer.remember(references)
        faces = [Face(torch.rand(3, size, size) * 2 - 1, str(i), known) for i in range(batch)]
        sampling = Sampling(steps=steps, combine=combine)
        seconds = median_seconds(lambda: restorer.restore(faces, sampling), 3) / batch  # noqa: B023
        evaluations = steps * (REFERENCES if combine == "average" else 1)
        floor = (evaluations * work + bringing) / rate
        lines.append(
            f"| {REFERENCES} | {combine} | {batch} | {steps} | {seconds:.3f} | {floor:.3f} "
            f"| {floor / seconds:.2f} |"
        )
    reference = references[0]
    seconds = median_seconds(lambda: restorer.remember([reference]))
    lines.append(f"\nOne reference remembered: {seconds:.3f} s")
    return lines


def variants(network: RestorerNetwork, work: float, rate: float, compiled: bool) -> list[str]:
    """One evaluation of the denoiser, laid out and compiled differently."""
    lines = [
        "| evaluation | batch | s per face | share of floor |",
        "| --- | --- | --- | --- |",
    ]

    def timed(name: str, batch: int, call: Callable[..., object]) -> None:
        inputs = network_inputs(network, batch)
        with torch.inference_mode():
            seconds = median_seconds(lambda: call(*inputs)) / batch
        lines.append(f"| {name} | {batch} | {seconds:.3f} | {work / rate / seconds:.2f} |")

    denoiser = network.denoiser.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for batch in (1, 4):
        timed("contiguous weights", batch, denoiser)
    denoiser = denoiser.to(memory_format=torch.channels_last)
    for batch in (1, 4):
        timed("channels-last", batch, denoiser)
    if compiled:
        fast = torch.compile(denoiser)
        for batch in (1, 4):
            timed("channels-last, compiled", batch, fast)
    return lines


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--threads", type=int, default=2)
    cli.add_argument("--model")
    cli.add_argument("--no-compile", action="store_true")
    args = cli.parse_args()
    torch.set_num_threads(args.threads)
    config = read_config(LARGE)
    network = (load_network(args.model) if args.model else RestorerNetwork(config)).eval()
    rate, (work, bringing) = matmul_rate(), operations(network)
    weights = sum(value.numel() for value in network.own_weights().values())
    print(
        f"{args.threads} threads, torch {torch.__version__}: fp32 matmul {rate / 1e9:.0f} GFLOP/s; "
        f"one evaluation {work / 1e9:.2f} GFLOP, bringing {REFERENCES} references into place "
        f"{bringing / 1e9:.2f}; {weights / 1e6:.2f} M weights, "
        f"{weights * 2 / 2**20:.2f} MiB in half precision\n",
        flush=True,
    )
    print("\n".join(restorers(network, work, bringing, rate)) + "\n", flush=True)
    print("\n".join(variants(network, work, rate, not args.no_compile)))


if __name__ == "__main__":
    main()
