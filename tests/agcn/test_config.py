"""Configurations: the original's files, streams, overrides, and what is wrong told in one line."""

from pathlib import Path

import pytest
from pose_files import write_array_folder

from agcn.config import Config, FeederArgs, load_config, to_yaml
from agcn.model.network import build_model
from native_prep.poses.custom import prepare_custom
from native_prep.skeletons.layouts import COCO17

ROOT = Path(__file__).resolve().parents[2]

# The keys and kinds of values of the original's config/nturgbd-cross-subject/train_joint_aagcn.yaml.
ORIGINAL = """\
work_dir: ./work_dir/ntu/xsub/aagcn_joint
model_saved_name: ./runs/ntu_cs_aagcn_joint
feeder: feeders.feeder.Feeder
train_feeder_args:
  data_path: ./data/ntu/xsub/train_data_joint.npy
  label_path: ./data/ntu/xsub/train_label.pkl
  debug: False
  random_choose: False
  random_shift: False
  random_move: False
  window_size: -1
  normalization: False
test_feeder_args:
  data_path: ./data/ntu/xsub/val_data_joint.npy
  label_path: ./data/ntu/xsub/val_label.pkl
model: model.aagcn.Model
model_args:
  num_class: 60
  num_point: 25
  num_person: 2
  graph: graph.ntu_rgb_d.Graph
  graph_args:
    labeling_mode: 'spatial'
weight_decay: 0.0001
base_lr: 0.1
step: [30, 40]
warm_up_epoch: 5
device: [0, 1 ,2, 3]
batch_size: 64
test_batch_size: 64
num_epoch: 50
nesterov: True
only_train_part: True
only_train_epoch: 5
"""
ORIGINAL_TEST = """\
feeder: feeders.feeder.Feeder
test_feeder_args:
  data_path: ./data/ntu/xview/val_data_bone.npy
  label_path: ./data/ntu/xview/val_label.pkl
  debug: False
model: model.agcn.Model
model_args: {num_class: 60, num_point: 25, num_person: 2, graph: graph.ntu_rgb_d.Graph}
phase: test
device: 0
test_batch_size: 256
weights: ./runs/ntu_cv_agcn_bone-49-29400.pt
work_dir: ./work_dir/ntu/xview/agcn_test_bone
model_saved_name: ./runs/ntu_cv_agcn_test_bone
save_score: True
"""


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "train_joint_aagcn.yaml"
    path.write_text(ORIGINAL)
    return path


def test_original_training_file(original: Path) -> None:
    config = load_config(original)
    assert (config.stream, config.name, config.step, config.device) == (
        "joint",
        "ntu_cs_aagcn_joint",
        (30, 40),
        (0, 1, 2, 3),
    )
    assert (config.warm_up_epoch, config.only_train_part, config.only_train_epoch) == (5, True, 5)
    assert config.train_feeder_args.data_path == "./data/ntu/xsub/train_data_joint.npy"
    assert config.test_feeder_args.window_size == -1
    assert config.save_interval == 2 and config.optimizer == "SGD"


def test_original_test_file(tmp_path: Path) -> None:
    path = tmp_path / "test_bone.yaml"
    path.write_text(ORIGINAL_TEST)
    config = load_config(path)
    assert (config.phase, config.stream, config.device, config.save_score) == ("test", "bone", (0,), True)
    joint = load_config(path, stream="joint")
    assert joint.weights == "./runs/ntu_cv_agcn_joint-49-29400.pt"
    assert joint.work_dir == "./work_dir/ntu/xview/agcn_test_joint"


def test_stream_replaces_the_one_in_the_paths(original: Path) -> None:
    config = load_config(original, stream="joint_motion")
    assert config.train_feeder_args.data_path == "./data/ntu/xsub/train_data_joint_motion.npy"
    assert config.test_feeder_args.label_path == "./data/ntu/xsub/val_label.pkl"
    assert config.work_dir == "./work_dir/ntu/xsub/aagcn_joint_motion"
    assert config.name == "ntu_cs_aagcn_joint_motion"


def test_stream_that_no_path_names(original: Path) -> None:
    original.write_text(ORIGINAL.replace("_data_joint", "_data"))
    assert load_config(original).stream == "joint"
    with pytest.raises(ValueError, match=r"\.yaml:5: ./data/ntu/xsub/train_data\.npy names no stream"):
        load_config(original, stream="bone")


def test_centring_is_for_joints() -> None:
    path = ROOT / "agcn" / "configs" / "nw-ucla.yaml"
    assert load_config(path).train_feeder_args.centre
    assert not load_config(path, stream="bone").train_feeder_args.centre
    assert not load_config(path, stream="bone").test_feeder_args.centre


def test_streams_made_from_joints_are_centred_too() -> None:
    config = load_config(ROOT / "agcn" / "configs" / "nw-ucla-strong.yaml", stream="bone")
    assert config.train_feeder_args.centre and config.train_feeder_args.make_stream == "bone"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("schedule=cosin", "did you mean 'cosine'"),
        ("ema=1.0", "at least 0 and below 1"),
        ("label_smoothing=-0.1", "at least 0 and below 1"),
        ("test_windows=0", "at least 1"),
        ("test_feeder_args.repeat=2", "set test_windows"),
        ("train_feeder_args.repeat=0", "at least 1"),
        ("train_feeder_args.fit=axis", "did you mean 'axes'"),
        ("train_feeder_args.make_stream=bones", "did you mean 'bone'"),
    ],
)
def test_recipe_keys(key: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        load_config(ROOT / "agcn" / "configs" / "nw-ucla-strong.yaml", overrides=[key])


@pytest.mark.parametrize("path", sorted((ROOT / "agcn" / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_own_files(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if path.stem.startswith("custom"):  # the model's sizes are those of the data
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ValueError, match="no graph: run prep custom first"):
            build_model("agcn", load_config(path, stream="bone_motion").model_args)
        raw = write_array_folder(tmp_path / "raw", clips=4)
        prepare_custom(raw, "data/custom", layout="coco17", image_size="640x480", max_bodies=3)
    config = load_config(path, stream="bone_motion")
    assert config.work_dir.endswith("agcn_bone_motion") and config.name.endswith("agcn_bone_motion")
    made = config.test_feeder_args.make_stream
    assert made in ("", "bone_motion")
    assert config.test_feeder_args.data_path.endswith(f"/val_data_{'joint' if made else 'bone_motion'}.npy")
    assert config.train_feeder_args.make_stream == made
    model = build_model(config.model, config.model_args)
    if path.stem.startswith("custom"):
        assert (model.num_class, model.num_point, model.num_person, model.layout) == (2, 17, 3, COCO17)


def test_overrides(original: Path) -> None:
    config = load_config(
        original,
        overrides=["train_feeder_args.window_size=52", "base_lr=1e-3", "step=[3, 5]", "model_args.num_class=10"],
    )
    assert config.train_feeder_args.window_size == 52
    assert (config.base_lr, config.step, config.model_args["num_class"]) == (0.001, (3, 5), 10)


def test_written_and_read_back(original: Path, tmp_path: Path) -> None:
    config = load_config(original)
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert load_config(path) == config


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("num_epoc=3", "--set num_epoc=3: unknown key 'num_epoc': did you mean 'num_epoch'"),
        ("num_clas=3", "--set num_clas=3: unknown key 'num_clas': did you mean 'model_args.num_class'"),
        ("window_siz=3", "unknown key 'window_siz': did you mean 'train_feeder_args.window_size'"),
        ("train_feeder_args.num_persons=3", "did you mean 'model_args.num_person'"),
        ("qqq=3", "unknown key 'qqq': use one of work_dir"),
        ("train_feeder_args.windowsize=3", "unknown key 'train_feeder_args.windowsize': did you mean 'window_size'"),
        ("model_args.num_person=two", "--set model_args.num_person=two: model_args.num_person is 'two': give a whole"),
        ("model_args.num_persons=2", "unknown key 'model_args.num_persons': did you mean 'num_person'"),
        ("num_epoch=0", "--set num_epoch=0: num_epoch is 0: set it to at least 1"),
        ("num_epoch=2.5", "num_epoch is 2.5: give a whole number"),
        ("nesterov=3", "nesterov is 3: give True or False"),
        ("base_lr=fast", "base_lr is 'fast': give a number"),
        ("base_lr=-1", "base_lr is -1.0: set it to a finite number above 0"),
        ("optimizer=Adam", "has no nesterov"),
        ("optimizer=AdamW", "did you mean 'Adam'"),
        ("model=model.agcn.Net", "did you mean 'model.agcn.Model'"),
        ("feeder=feeders.other.Feeder", "feeder 'feeders.other.Feeder' is not known"),
        ("stream=bones", "stream 'bones' is not known: did you mean 'bone'"),
        ("start_epoch=50", "leaves nothing of num_epoch 50"),
        ("train_feeder_args.random_choose=True", r"yaml:11: train_feeder_args.window_size is -1, but random_choose"),
        ("test_feeder_args.sample=linear", "test_feeder_args.window_size is -1, but sample"),
        ("test_feeder_args=3", "must hold KEY: VALUE pairs"),
        ("step=[1", r"--set step=\[1: the value is not YAML"),
        ("model_args={a: 1, a: 2}", r"--set model_args=.*: line 1: key a stands in line 1 already: keep one of them"),
        ("step", "give KEY=VALUE"),
        ("num_epoch.x=3", "--set num_epoch.x=3: num_epoch is 50, it holds no keys"),
        ("model.x=3", "it holds no keys: give model=VALUE"),
        ("seed=2020-13-45", "the value is not YAML"),
    ],
)
def test_wrong_values(original: Path, override: str, text: str) -> None:
    with pytest.raises(ValueError, match=text) as told:
        load_config(original, overrides=[override])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("step: [30, 40]", "step: [30, 40", r"joint_aagcn\.yaml:\d+: not YAML"),
        ("step: [30, 40]", "step: 2020-13-45", r"joint_aagcn\.yaml: not YAML"),
        ("warm_up_epoch", "warmup_epoch", r"joint_aagcn\.yaml:27: unknown key 'warmup_epoch': did you mean 'warm_up"),
        ("num_point", "num_points", r"joint_aagcn\.yaml:19: unknown key 'model_args.num_points'"),
        ("batch_size: 64", "batch_size: 0", r"joint_aagcn\.yaml:29: batch_size is 0"),
        ("warm_up_epoch: ", "batch_size: 8\nbatch_size: ", r"yaml:28: key batch_size stands in line 27 already"),
        ("work_dir: ./work_dir/ntu/xsub/aagcn_joint", "work_dir: [a, b]", r":1: work_dir is \['a', 'b'\]: give text"),
    ],
)
def test_wrong_files(original: Path, old: str, new: str, text: str) -> None:
    original.write_text(ORIGINAL.replace(old, new, 1))
    with pytest.raises(ValueError, match=text):
        load_config(original)


def test_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match="holds no KEY: VALUE pairs"):
        load_config(tmp_path / "list.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a text file"):
        load_config(tmp_path / "binary.yaml")


def test_sampling_excludes_the_originals_choosing() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        FeederArgs(sample="linear", window_size=8, random_choose=True)
    with pytest.raises(ValueError, match="crop"):
        FeederArgs(sample="crop", window_size=8, crop=(0.9, 0.5))
    with pytest.raises(ValueError, match="random_warp needs sample linear or crop, not 'uniform'"):
        FeederArgs(sample="uniform", window_size=8, random_warp=0.5)
    with pytest.raises(ValueError, match="random_flip mirrors joints, which normalization has moved before"):
        FeederArgs(random_flip=0.5, normalization=True)
    with pytest.raises(ValueError, match=r"test_feeder_args\.random_drop is for training"):
        Config(test_feeder_args=FeederArgs(random_drop=0.5))
    assert Config().name == "temp"


@pytest.mark.parametrize(
    ("key", "value"),
    [("random_flip", 1.5), ("random_drop", -0.1), ("random_drop", float("nan")), ("random_warp", float("inf"))],
)
def test_shares_are_within_their_range(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{key} is {value}: set it to"):
        FeederArgs(**{key: value})
