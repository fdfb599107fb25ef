"""`bench gpu`: what loaders the model, and a data set trained from its raw files."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

from agcn.data.clips import open_clips
from agcn.data.loader import BatchLoader, training_batches
from agcn.score_files import SCORE_FILE
from agcn.settings import FeederArgs
from bench.gpu.context import ROOT, Bench
from bench.part import Check
from bench.random_models import CLASSES, relative
from native_prep.skeletons.layouts import NTU


def feed(bench: Bench) -> None:
    """Clips a second that reach the model from a packed store, read by the host or resident on the device."""
    from native_prep.pipeline.prepare import prepare
    from native_prep.synth.make import write_ntu

    raw, out = bench.work / "feed_raw", bench.work / "feed"
    write_ntu(raw, 240 if bench.on_gpu else 24, CLASSES, 0, 90 if bench.on_gpu else 8)
    prepare("ntu60", raw, out, ignored_samples="none", formats=("packed",), benchmarks=("xsub",))
    for moved in (False, True):
        name = "random moves and parts" if moved else "as they are"
        args = FeederArgs(
            data_path=str(out / "packed/xsub/train_data_joint.npy"),
            label_path=str(out / "packed/xsub/train_label.pkl"),
            window_size=150 if moved else -1,
            random_choose=moved,
            random_move=moved,
        )
        clips = open_clips(args)
        batch = min(64, len(clips))
        chunks = training_batches(len(clips), batch, 0, 0, repeat=20 if bench.on_gpu else 1)
        loaders = {
            place: BatchLoader(clips, replace(args, resident=kept), NTU, bench.device, share_absent=True)
            for place, kept in (("from the host", False), ("resident", True))
        }
        read, gathered = (next(one.batches(chunks[:1], 0)).clips for one in loaders.values())
        bench.part.checks.append(Check(f"feeder resident, {name}", relative(gathered, read), 1e-6, "clips, relative"))
        base, group = None, f"Feeding clips, {name}"
        for place, loader in loaders.items():

            def run(loader: BatchLoader = loader, chunks: list[Any] = chunks) -> None:
                for _ in loader.batches(chunks, 0):
                    pass

            title, taken = f"feeder {place}, {name}", bench.time(run, 3, 5.0)
            rate = bench.add(title, taken, batch * len(chunks), "clips/s", base, group=group)
            base = base or rate
        bench.add_group(group, "clips/s", f"feeder from the host, {name}", [{f"feeder resident, {name}": None}])


def nw_ucla(bench: Bench) -> None:
    """NW-UCLA by its strong recipe, joint and bone side by side: accuracy, and seconds from raw files on."""
    if bench.nw_ucla is None:
        bench.part.left_out["NW-UCLA"] = "give its raw files: --nw-ucla DIR"
        return
    work, start = bench.work / "nw", time.perf_counter()
    work.mkdir()
    cli = (sys.executable, str(ROOT / "cli.py"))
    prepare = (*cli, "prep", "nw-ucla", "--data-path", bench.nw_ucla, "--out-folder", "data/nw-ucla")
    subprocess.run((*prepare, "--format", "npy"), cwd=work, check=True, capture_output=True)
    bench.part.notes.append(f"prep: {time.perf_counter() - start:.1f} s")
    for seed in range(1, 100 if bench.on_gpu else 2):
        if bench.left < 20:
            break
        begun = time.perf_counter() if seed > 1 else start
        device = ("--device", bench.device.type, *(("--set", "num_epoch=1") if not bench.on_gpu else ()))
        running = {}
        for stream in ("joint", "bone"):
            command = (
                *cli,
                "train",
                "--config",
                "nw-ucla-strong",
                "--stream",
                stream,
                "--amp",
                "--no-compile",
                *device,
            )
            command = (*command, "--work-dir", f"seed{seed}/{stream}", "--set", f"seed={seed}")
            running[stream] = subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        found = {}
        for stream, process in running.items():
            try:
                said, wrong = process.communicate(timeout=max(1.0, bench.left))
            except subprocess.TimeoutExpired:
                for other in running.values():
                    other.kill()
                bench.part.left_out[f"seed {seed}"] = f"was not done in {time.perf_counter() - begun:.0f} s"
                return
            if process.returncode:
                raise RuntimeError(f"seed {seed}, {stream}: {wrong.decode(errors='replace').strip().splitlines()[-1]}")
            found[stream] = json.loads(said.splitlines()[-1])
        scores = [f"--{stream}-scores={work / f'seed{seed}' / stream / SCORE_FILE}" for stream in found]
        fused = subprocess.run(
            (*cli, "fuse-eval", "--label", "data/nw-ucla/val_label.pkl", *scores),
            cwd=work, capture_output=True, text=True,
        )  # fmt: skip
        told = ", ".join(f"{name} {result['best_top1']:.2%}" for name, result in found.items())
        bench.part.notes.append(
            f"seed {seed}: {told}; fused {fused.stdout.strip() or fused.stderr.strip()}; "
            f"{time.perf_counter() - begun:.0f} s from raw files to both streams"
        )
        bench.save()
