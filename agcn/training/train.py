"""Training one stream: the original's schedule, exact resumption, one process or several."""

import dataclasses
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from agcn.device import AMP_DTYPES
from agcn.settings import Config
from agcn.training.distributed import open_world
from agcn.training.profiler import FILE as TRACE
from agcn.training.profiler import StepTrace
from agcn.training.run import Run
from agcn.training.run_folder import check_begins


def train(
    config: Config,
    *,
    device: str = "auto",
    amp: bool = False,
    amp_dtype: str = "bf16",
    compile: bool | None = None,
    resume: bool = False,
    overwrite: bool = False,
    profile: bool = False,
    work_dir: str | Path | None = None,
) -> dict[str, Any]:
    """Train what `config` describes; under torchrun, together with the other processes.

    Writes WORK_DIR/NAME-EPOCH-STEP.pt every `save_interval` epochs and after the last (EPOCH counts from 0, STEP is
    the number of steps taken), best.pt (of equal accuracy the lower loss) with its scores of the test split,
    epoch1_test_score.pkl, resume.pt, config.yaml, log.txt and TensorBoard curves, and at the end per_class.csv,
    confusion.csv and confusion.png of best.pt. `batch_size` is that of all processes together, and so are the
    statistics of the batch norms.

    Args:
        device: "auto", "cpu" or "cuda".
        amp: mixed precision of `amp_dtype`, "bf16" or "fp16" (with scaled gradients).
        compile: torch.compile; None means on a GPU only.
        resume: continue the run in the work folder after its last finished epoch.
        overwrite: what an earlier run left in the work folder goes; without it, such a folder is refused.
        profile: records some steps into WORK_DIR/profile.json, with PyTorch's profiler.
        work_dir: replaces the configuration's.

    Returns:
        epochs, top1, top5 (None for five classes or fewer), best_top1, checkpoint, clips_per_second, loss, losses,
        stream, device, amp.

    Raises:
        ValueError: settings, data and model that do not fit, nothing to resume from, an earlier run in the work folder,
            a loss that is not a number.
        MemoryError: too little memory; names what to try.
    """
    if work_dir is not None:
        config = dataclasses.replace(config, work_dir=str(work_dir))
    if config.phase != "train":
        raise ValueError(f"{config.config}: phase is {config.phase}: use the command test, or set phase: train")
    if amp and amp_dtype not in AMP_DTYPES:
        raise ValueError(f"amp dtype {amp_dtype!r} is not known: use bf16 or fp16")
    if resume and overwrite:
        raise ValueError("--resume goes on with a run, --overwrite begins anew: give one of them")
    if not resume:
        check_begins(config, overwrite)
    with open_world(device, config.device[0] if config.device else 0) as world:
        run = Run(config, world, amp_dtype if amp else None, compile, resume)
        try:
            with StepTrace(run.folder / TRACE, run.log.line) if profile and world.leads else nullcontext() as run.trace:
                run.go()
        finally:
            run.log.close()
        return run.result()
