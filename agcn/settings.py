"""What a run is to do: the original's configuration keys as frozen dataclasses."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agcn.model.network import model_arguments, model_variant
from agcn.validate import nearest
from native_prep.datasets.catalog import DATASETS
from native_prep.skeletons.streams import STREAMS

FEEDERS = ("feeders.feeder.Feeder", "feeder.feeder")
SAMPLINGS = ("", "linear", "crop", "uniform")
FITS = ("", "clip", "axes")
SCHEDULES = ("step", "cosine")
CLASS_WEIGHTS = ("none", "balanced")
PYSKL = "pyskl"
# Instead of a stream, what engines of four streams make theirs of: joints, each frame followed by the next.
JOINT_PAIRS = "joint_pairs"


@dataclass(frozen=True)
class FeederArgs:
    """How clips are read and changed before the model sees them.

    The first nine are the original's (feeders/feeder.py); frames are counted, angles in degrees.

    Attributes:
        data_path, label_path: what prep wrote.
        random_choose: a random part of `window_size` frames, or random padding to it.
        random_shift: the valid part moves to a random place in time.
        random_move: a rotation, scale and translation in the x-y plane that drifts over time.
        window_size: T of the model's input; -1 leaves T; without random_choose or sample it only pads.
        normalization: subtracts each joint's mean and divides by its standard deviation over the data set.
        debug: only the first 100 clips.
        use_mmap: read from disk as needed.
        resident: True keeps all clips on the device and makes batches there, False reads them batch by batch; "auto"
            keeps them on a GPU where they take at most half of its free memory.
        sample: "" as above; "linear" resizes the valid frames to window_size by interpolation; "crop" does so with a
            random part of them, of a share within `crop`; "uniform" draws one frame from each of window_size parts.
        crop: smallest and largest share of the valid frames for "crop".
        reorder: puts the frames of clips in order that begin in their middle, as one of 18 of NW-UCLA's does, whose
            frames seem sorted by name (of joints: with make_stream for every stream).
        centre: puts the layout's centre joint of body 0 in its first valid frame at the origin (joint stream only,
            the other streams are differences already; with make_stream every one).
        random_rotate: largest angle about the x, y and z axis; poses in pictures have no depth and become narrower.
        random_scale: smallest and largest factor.
        random_flip: share of the clips that are mirrored, x to -x, left joints in the places of right ones (PYSKL);
            centre them first.
        random_drop: share of the clips in which a random joint and its neighbours are zero throughout (DropGraph), in
            the stream that the model sees.
        random_warp: uneven speed, for sample linear and crop: frames at the shares s ** e of the clip, where s is even
            and e is drawn between exp(-random_warp) and exp(random_warp): 0.61 to 1.65 for 0.5.
        align: turns each clip about the vertical axis (y) so that the line from the left shoulder and hip to the right
            ones lies along x in its first valid frames (as the original's data_gen does with NTU's shoulders).
        fit: "axes" scales what is left of each clip to -1 .. 1 on each axis (`feeder_ucla.py` of CTR-GCN), "clip" does
            so by one factor for all axes; "" leaves sizes.
        make_stream: the stream that is made from joints after all of these, so that bones and motions are those of the
            changed clip; `data_path` is then the joint stream's for every stream.
        convention: "pyskl" makes clips as MMAction2 does after PYSKL's recipes (`agcn.data.pyskl`): coordinates from -1
            to 1 in the picture, or centred and turned by body 0's first frame; `sample: uniform` draws its frames as
            theirs does; motions are those of the frames as recorded, bones and motions have the mean score of their
            joints.
        repeat: how often an epoch of training goes through the clips, changed anew each time (CTR-GCN).

    Raises:
        ValueError: contradictions; the text starts with the key.
    """

    data_path: str = ""
    label_path: str = ""
    random_choose: bool = False
    random_shift: bool = False
    random_move: bool = False
    window_size: int = -1
    normalization: bool = False
    debug: bool = False
    use_mmap: bool = True
    resident: bool | str = "auto"
    sample: str = ""
    crop: tuple[float, ...] = (0.5, 1.0)
    reorder: bool = False
    centre: bool = False
    random_rotate: tuple[float, ...] = (0.0, 0.0, 0.0)
    random_scale: tuple[float, ...] = (1.0, 1.0)
    random_flip: float = 0.0
    random_drop: float = 0.0
    random_warp: float = 0.0
    align: bool = False
    fit: str = ""
    make_stream: str = ""
    convention: str = ""
    repeat: int = 1

    def __post_init__(self) -> None:
        if self.resident not in (True, False, "auto"):
            raise ValueError(f"resident is {self.resident!r}: set it to auto, True or False")
        if self.sample not in SAMPLINGS:
            raise ValueError(f"sample {self.sample!r} is not known: {nearest(self.sample, SAMPLINGS[1:])}")
        if self.window_size < 1 and (self.random_choose or self.sample):
            needs = "random_choose" if self.random_choose else "sample"
            raise ValueError(f"window_size is {self.window_size}, but {needs} needs a number of frames: set it")
        if self.sample and (self.random_choose or self.random_shift):
            raise ValueError(f"sample {self.sample} and random_choose or random_shift exclude each other: drop one")
        if len(self.crop) != 2 or not 0.0 < self.crop[0] <= self.crop[1] <= 1.0:
            raise ValueError(f"crop {list(self.crop)} must be [smallest, largest] share, within 0 and 1")
        if len(self.random_rotate) != 3:
            raise ValueError("random_rotate must be three angles in degrees, about x, y and z")
        if len(self.random_scale) != 2 or not 0.0 < self.random_scale[0] <= self.random_scale[1]:
            raise ValueError(f"random_scale {list(self.random_scale)} must be [smallest, largest] factor")
        for key in ("random_flip", "random_drop"):
            if not 0.0 <= getattr(self, key) <= 1.0:
                raise ValueError(f"{key} is {getattr(self, key)}: set it to a share within 0 and 1")
        if not 0.0 <= self.random_warp < float("inf"):
            raise ValueError(f"random_warp is {self.random_warp}: set it to 0 or more")
        if self.random_warp and self.sample not in ("linear", "crop"):
            raise ValueError(f"random_warp needs sample linear or crop, not {self.sample!r}: set sample, or drop it")
        if self.random_flip and self.normalization:
            raise ValueError("random_flip mirrors joints, which normalization has moved before: drop one")
        if self.fit not in FITS:
            raise ValueError(f"fit {self.fit!r} is not known: {nearest(self.fit, FITS[1:])}")
        if self.make_stream not in ("", *STREAMS, JOINT_PAIRS):
            raise ValueError(f"make_stream {self.make_stream!r} is not known: {nearest(self.make_stream, STREAMS)}")
        if self.convention not in ("", PYSKL):
            raise ValueError(f"convention {self.convention!r} is not known: use {PYSKL}")
        if self.convention and not (self.sample == "uniform" and self.make_stream):
            raise ValueError(f"convention {PYSKL} goes with sample uniform and make_stream: set both")
        for key in ("reorder", "centre", "align", "fit", "normalization", "random_move"):
            if self.convention and getattr(self, key):
                raise ValueError(f"{key} conflicts with convention {PYSKL}, which normalises clips itself: drop one")
        if self.make_stream == JOINT_PAIRS and not self.convention:
            raise ValueError(f"make_stream {JOINT_PAIRS} is for engines of convention {PYSKL}: name a stream")
        if self.repeat < 1:
            raise ValueError(f"repeat is {self.repeat}: set it to at least 1")

    @property
    def keeps_absent(self) -> bool:
        """Whether a body that is not there is all zero after these changes as it was before.

        The original's random_move moves it like any other, and normalization subtracts the data's mean from it.
        """
        return not (self.random_move or self.normalization)


_COUNTS = (
    "batch_size", "test_batch_size", "num_epoch", "log_interval", "save_interval", "eval_interval", "test_windows",
    "accumulate",
)  # fmt: skip


@dataclass(frozen=True)
class Config:
    """The original's options (main.py) under their names, with their defaults, and what later recipes added.

    `device`, `num_worker` and `feeder` are taken so that the original's files work: which machine computes is the
    command's `--device`, clips are read by one thread ahead of the model. `eval_interval` is honoured (the original
    never read it and evaluated every epoch, hence the default of 1).

    Attributes:
        schedule: "step" divides the rate by 10 at each of `step`; "cosine" lets it fall to 0 over num_epoch, changing
            with every step (Loshchilov and Hutter, SGDR, 2017; PYSKL's recipes). Both after `warm_up_epoch`.
        class_weight: how much clips of each class count in the training loss, a weighted mean: "none" for the same;
            "balanced" for N / (K * clips of the class) of the N training clips and K classes (scikit-learn); or K
            numbers above 0.
        label_smoothing: share of the target that is spread over all classes (Szegedy et al., Inception, 2016).
        ema: decay of a moving average of the weights, 0 for none; what is tested and saved then is the average
            (Polyak and Juditsky, 1992). Early on it averages over fewer steps.
        test_windows: views of each test clip; their logits are averaged. The first view is the middle of every
            distribution: not turned, not warped, the middle of the clip. Others are random: with `sample: uniform` or
            `crop` other parts of the clip (multi-clip test: PYSKL, ten of them).
        accumulate: parts that a batch is computed in, one after the other, where all of it does not fit into memory;
            the step follows the sum of their gradients, batch statistics are each part's own.
        share_absent: computes absent bodies, which are all zero, as one (`agcn.model.absent_bodies`); the results are
            the same.
        fused_graph_conv: custom Triton kernels for the graph convolution (`agcn.model.fused_graph_conv`), on a GPU with
            `--amp`; elsewhere the run says so and does without.
        stream: what the network is shown.
        classes: the data set whose actions the classes are, for clips of `convention: pyskl`: then weights name actions
            in pose files and videos where no prepared data lie.

    Raises:
        ValueError: contradictions; the text starts with the key.
    """

    work_dir: str = "./work_dir/temp"
    model_saved_name: str = ""
    config: str = ""
    phase: str = "train"
    save_score: bool = False
    seed: int = 1
    log_interval: int = 100
    save_interval: int = 2
    eval_interval: int = 1
    print_log: bool = True
    show_topk: tuple[int, ...] = (1, 5)
    feeder: str = FEEDERS[0]
    num_worker: int = 32
    train_feeder_args: FeederArgs = field(default_factory=FeederArgs)
    test_feeder_args: FeederArgs = field(default_factory=FeederArgs)
    model: str = "model.agcn.Model"
    model_args: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    ignore_weights: tuple[str, ...] = ()
    base_lr: float = 0.01
    step: tuple[int, ...] = (20, 40, 60)
    device: tuple[int, ...] = (0,)
    optimizer: str = "SGD"
    nesterov: bool = False
    batch_size: int = 256
    test_batch_size: int = 256
    start_epoch: int = 0
    num_epoch: int = 80
    weight_decay: float = 0.0005
    only_train_part: bool = False
    only_train_epoch: int = 0
    warm_up_epoch: int = 0
    schedule: str = "step"
    class_weight: tuple[float, ...] | str = "none"
    label_smoothing: float = 0.0
    ema: float = 0.0
    test_windows: int = 1
    accumulate: int = 1
    share_absent: bool = True
    fused_graph_conv: bool = False
    stream: str = "joint"
    classes: str = ""

    def __post_init__(self) -> None:
        model_variant(self.model)
        model_arguments(self.model_args)
        for key, known in (
            ("phase", ("train", "test")),
            ("optimizer", ("SGD", "Adam")),
            ("stream", STREAMS),
            ("feeder", FEEDERS),
            ("schedule", SCHEDULES),
            ("classes", ("", *DATASETS)),
        ):
            if getattr(self, key) not in known:
                raise ValueError(f"{key} {getattr(self, key)!r} is not known: {nearest(getattr(self, key), known)}")
        if self.classes:
            self._check_classes()
        if isinstance(self.class_weight, str):
            if self.class_weight not in CLASS_WEIGHTS:
                raise ValueError(
                    f"class_weight {self.class_weight!r} is not known: {nearest(self.class_weight, CLASS_WEIGHTS)}, "
                    "or a number for each class"
                )
        elif not all(0 < weight < float("inf") for weight in self.class_weight):
            raise ValueError(f"class_weight is {list(self.class_weight)}: give a finite number above 0 for each class")
        for key in ("train_feeder_args", "test_feeder_args"):
            if getattr(self, key).make_stream == JOINT_PAIRS:
                raise ValueError(f"{key}.make_stream {JOINT_PAIRS} is for engines: name a stream")
        for key in _COUNTS:
            if getattr(self, key) < 1:
                raise ValueError(f"{key} is {getattr(self, key)}: set it to at least 1")
        for key in ("label_smoothing", "ema"):
            if not 0 <= getattr(self, key) < 1:
                raise ValueError(f"{key} is {getattr(self, key)}: set it to at least 0 and below 1")
        if self.test_feeder_args.repeat != 1:
            raise ValueError(
                "test_feeder_args.repeat is for training: set test_windows to test more views of each clip"
            )
        if self.test_feeder_args.random_drop:
            raise ValueError("test_feeder_args.random_drop is for training: leave it out")
        for key in ("seed", "start_epoch", "warm_up_epoch", "weight_decay"):
            if not 0 <= getattr(self, key) < float("inf"):
                raise ValueError(f"{key} is {getattr(self, key)}: set it to 0 or more")
        if not 0 < self.base_lr < float("inf"):
            raise ValueError(f"base_lr is {self.base_lr}: set it to a finite number above 0")
        if self.start_epoch >= self.num_epoch:
            raise ValueError(f"start_epoch {self.start_epoch} leaves nothing of num_epoch {self.num_epoch}: raise it")
        if self.optimizer == "Adam" and self.nesterov:
            raise ValueError("optimizer Adam has no nesterov: set nesterov: False or optimizer: SGD")

    def _check_classes(self) -> None:
        if not self.test_feeder_args.convention:
            raise ValueError(f"classes {self.classes} goes with test_feeder_args.convention {PYSKL}: leave it out")
        named, wanted = DATASETS[self.classes].num_class, self.model_args.get("num_class", 0)
        if named != wanted:
            raise ValueError(f"classes {self.classes} has {named}, model_args.num_class is {wanted}: make them agree")

    @property
    def name(self) -> str:
        """What checkpoints are called, the last part of `model_saved_name`."""
        return Path(self.model_saved_name).name or Path(self.work_dir).name or "agcn"
