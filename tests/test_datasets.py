"""Published datasets: fetched once and only when asked, read as they are published, or refused."""

import gzip
import hashlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tyro
from scipy import io as matlab
from torchvision import datasets

from comm.errors import BadInput
from workers.data import imagenet32
from workers.data.augment import Augmentation
from workers.data.config import DataConfig
from workers.data.prepare import prepare
from workers.data.prepared import Prepared, write
from workers.data.published import PUBLISHED
from workers.data.source import Contents, Stream

ROOT = Path(__file__).parent.parent
LABELS = {"train": [3, 0, 9, 1, 2], "test": [9, 0, 4]}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("LOCI_CACHE", str(folder))
    return folder


def refusal(config: DataConfig) -> tuple[str, ...]:
    with pytest.raises(BadInput) as caught:
        prepare(config)
    return caught.value.problems


def pixels(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8)


# ---- a server on this host, and small archives in the form of the published ones


@dataclass
class Server:
    """What is served under which path, and every GET that asked for it."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    delay: float = 0.0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Method"] != "HEAD":  # how torchvision looks for redirections
                served.asked.append(self.path)
                time.sleep(served.delay)
            self.do_HEAD()
            self.wfile.write(served.files.get(self.path, b""))

        def do_HEAD(self) -> None:
            body = served.files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield served
        http.shutdown()
        thread.join()


@dataclass
class Fake:
    """A small dataset in its published form: its images, and torchvision's tables to match."""

    files: dict[str, bytes]  # what is served
    tables: dict[str, Any]  # attributes of torchvision's class
    train: np.ndarray
    test: np.ndarray

    def serve(self, name: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        server.files = {f"/{file}": body for file, body in self.files.items()}
        for attribute, value in self.tables.items():
            monkeypatch.setattr(getattr(datasets, PUBLISHED[name].kind), attribute, value)


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def cifar(url: str, name: str) -> Fake:
    train, test = pixels(5, 3072), pixels(3, 3072)
    few = name == "cifar10"
    folder, names = "cifar-10-batches-py" if few else "cifar-100-python", "label_names"
    key, last = ("labels", "test_batch") if few else ("fine_labels", "test")
    parts: dict[str, object] = {}
    if few:
        for row in range(5):
            label = LABELS["train"][row]
            parts[f"data_batch_{row + 1}"] = {"data": train[row : row + 1], key: [label]}
    else:
        parts["train"] = {"data": train, key: LABELS["train"]}
        names = "fine_label_names"
    parts[last] = {"data": test, key: LABELS["test"]}
    meta = "batches.meta" if few else "meta"
    parts[meta] = {names: list("abcdefghij")}
    stored = {part: pickle.dumps(value, protocol=2) for part, value in parts.items()}
    sums = [[part, md5(data)] for part, data in stored.items()]
    packed = archive({f"{folder}/{part}": data for part, data in stored.items()})
    tables = {
        "url": f"{url}/{folder}.tar.gz",
        "tgz_md5": md5(packed),
        "train_list": sums[:-2],
        "test_list": sums[-2:-1],
        "meta": {"filename": meta, "key": names, "md5": sums[-1][1]},
    }
    images = (train.reshape(-1, 3, 32, 32), test.reshape(-1, 3, 32, 32))
    return Fake({f"{folder}.tar.gz": packed}, tables, *images)


def svhn(url: str, name: str) -> Fake:
    parts = {"train": pixels(5, 3, 32, 32), "test": pixels(3, 3, 32, 32)}
    files: dict[str, bytes] = {}
    table: dict[str, list[str]] = {}
    for part, images in parts.items():
        out = io.BytesIO()
        labels = np.array([[label or 10] for label in LABELS[part]], np.uint8)  # 10 is a nought
        matlab.savemat(out, {"X": images.transpose(2, 3, 1, 0), "y": labels})
        file = f"{part}_32x32.mat"
        files[file] = out.getvalue()
        table[part] = [f"{url}/{file}", file, md5(out.getvalue())]
    return Fake(files, {"split_list": table}, *parts.values())


def stl10(url: str, name: str) -> Fake:
    train, test = pixels(5, 3, 96, 96), pixels(3, 3, 96, 96)

    def labels(part: str) -> bytes:
        return bytes(label + 1 for label in LABELS[part])

    stored = {
        "train_X.bin": train.transpose(0, 1, 3, 2).tobytes(),  # column by column
        "train_y.bin": labels("train"),
        "unlabeled_X.bin": pixels(2, 3, 96, 96).tobytes(),
        "test_X.bin": test.transpose(0, 1, 3, 2).tobytes(),
        "test_y.bin": labels("test"),
    }
    sums = [[part, md5(data)] for part, data in stored.items()]
    stored["class_names.txt"] = "\n".join("abcdefghij").encode()
    packed = archive({f"stl10_binary/{part}": data for part, data in stored.items()})
    tables = {
        "url": f"{url}/stl10_binary.tar.gz",
        "tgz_md5": md5(packed),
        "train_list": sums[:3],
        "test_list": sums[3:],
    }
    return Fake({"stl10_binary.tar.gz": packed}, tables, train, test)


def mnist(url: str, name: str) -> Fake:
    train, test = pixels(5, 28, 28), pixels(3, 28, 28)
    files: dict[str, bytes] = {}
    for part, images, labels in (
        ("train", train, LABELS["train"]),
        ("t10k", test, LABELS["test"]),
    ):
        head = struct.pack(">IIII", 0x803, *images.shape)
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(head + images.tobytes())
        head = struct.pack(">II", 0x801, len(labels))
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(head + bytes(labels))
    sums = [(file, md5(data)) for file, data in files.items()]
    tables = {"mirrors": [f"{url}/"], "resources": sums}
    return Fake(files, tables, train[:, None], test[:, None])


FAKES = {
    "cifar10": cifar,
    "cifar100": cifar,
    "svhn": svhn,
    "stl10": stl10,
    "mnist": mnist,
    "fashion-mnist": mnist,
}
GREY = ("mnist", "fashion-mnist")
CIFAR = ((125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255))
HALF = ((0.5,) * 3, (0.5,) * 3)
TREATMENT = {  # specification §1.7
    "cifar10": (Augmentation(padding="reflect", pad=4, flip=True), CIFAR),
    "cifar100": (Augmentation(padding="reflect", pad=4, flip=True), CIFAR),
    "svhn": (Augmentation(padding="zero", pad=2, flip=False), HALF),
    "stl10": (Augmentation(padding="zero", pad=4, flip=True), HALF),
    "mnist": (Augmentation(padding="zero", pad=2, flip=False), None),
    "fashion-mnist": (Augmentation(padding="zero", pad=2, flip=True), None),
}


def asked(name: str, root: Path, **fields: Any) -> DataConfig:
    return DataConfig(dataset=name, data_dir=root, download=True, **fields)


def files_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


# ---- fetched, verified, read


@pytest.mark.parametrize("name", FAKES)
def test_download_fetches_verifies_and_prepares(
    name: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FAKES[name](server.url, name)
    fake.serve(name, server, monkeypatch)
    root = tmp_path / "new" / "data"
    got = Prepared(prepare(asked(name, root)))
    assert np.array_equal(got.train_images, fake.train)
    assert np.array_equal(got.test_images, fake.test)
    assert got.train_labels.tolist() == LABELS["train"]
    assert got.test_labels.tolist() == LABELS["test"]
    augmentation, moments = TREATMENT[name]
    assert got.spec.name == name and got.augmentation == augmentation and len(got.classes) == 10
    if moments:
        assert (got.mean, got.std) == moments
    else:
        assert got.mean == pytest.approx((fake.train.mean() / 255,), abs=1e-12)
    assert sorted(server.asked) == sorted(server.files)
    assert files_in(root) == {*PUBLISHED[name].files, f".{name}.lock"}
    assert not (root / f".{name}.part").exists()

    monkeypatch.setenv("LOCI_CACHE", str(tmp_path / "another"))
    again = prepare(DataConfig(dataset=name, data_dir=root))
    assert Prepared(again).spec == got.spec
    assert prepare(asked(name, root)) == again  # asking for it is no part of what it is
    assert len(server.asked) == len(server.files)


def test_processes_that_ask_at_once_download_once(server: Server, tmp_path: Path) -> None:
    fake = cifar(server.url, "cifar10")
    server.files = {f"/{file}": body for file, body in fake.files.items()}
    server.delay = 1.0
    code = """
import json, sys, time
from pathlib import Path
from torchvision import datasets
from workers.data.config import DataConfig
from workers.data.prepare import prepare
here, number, tables = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
for attribute, value in tables.items():
    setattr(datasets.CIFAR10, attribute, value)
(here / f"ready{number}").touch()
while not (here / "go").exists():
    time.sleep(0.01)
print(prepare(DataConfig(dataset="cifar10", data_dir=here / "data", download=True)))
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    started = [
        subprocess.Popen(
            [*command, str(number), json.dumps(fake.tables)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("ready*"))) < len(started):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (tmp_path / "go").touch()
        ended = [process.communicate(timeout=60) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    folders = {out.strip() for out, _ in ended}
    assert len(folders) == 1, ended
    assert np.array_equal(Prepared(Path(folders.pop())).train_images, fake.train)
    assert server.asked == ["/cifar-10-batches-py.tar.gz"]
    assert sorted("downloading cifar10" in err for _, err in ended) == [False, True]
    (told,) = (err for _, err in ended if "downloading" in err)
    assert "100" in told  # the progress bar


def test_a_file_that_is_there_is_not_fetched_and_may_not_be_writable(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = svhn(server.url, "svhn")
    fake.serve("svhn", server, monkeypatch)
    root = tmp_path / "data"
    root.mkdir()
    for file, body in fake.files.items():
        (root / file).write_bytes(body)
    root.chmod(0o555)
    try:
        assert Prepared(prepare(asked("svhn", root))).spec.train == 5
    finally:
        root.chmod(0o755)
    assert server.asked == [] and files_in(root) == {*fake.files}


@pytest.mark.parametrize("trouble", ["offline", "absent", "damaged", "incomplete"])
def test_a_failed_download_names_reason_and_remedy_and_leaves_nothing(
    trouble: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = cifar(server.url, "cifar10")
    fake.serve("cifar10", server, monkeypatch)
    (path,) = server.files
    match trouble:
        case "offline":
            monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/x.tar.gz")
        case "absent":
            server.files = {}
        case "damaged":
            server.files[path] = server.files[path][:-20]
        case _:
            other = archive({"cifar-10-batches-py/test_batch": b"?"})
            server.files[path] = other
            monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(other))
    root = tmp_path / "data"
    (problem,) = refusal(asked("cifar10", root))
    assert problem.startswith(f"CIFAR-10 cannot be downloaded to {root} (")
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz" in problem
    assert "cifar-10-batches-py/data_batch_1" in problem and "\n" not in problem
    assert files_in(root) == {".cifar10.lock"}
    (missing,) = refusal(DataConfig(dataset="cifar10", data_dir=root))
    assert "data_batch_1 is not there nor 6 more of its files" in missing


@pytest.mark.parametrize("name", GREY)
def test_what_a_killed_process_left_is_not_used(
    name: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchvision would take the half of an unpacked file of these for whole."""
    fake = mnist(server.url, name)
    fake.serve(name, server, monkeypatch)
    for file in PUBLISHED[name].files:
        half = tmp_path / f".{name}.part" / file
        half.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(b"\0\0\x08\x03")
    assert np.array_equal(Prepared(prepare(asked(name, tmp_path))).train_images, fake.train)


# ---- refused, with the next move


@pytest.mark.parametrize("name", FAKES)
def test_a_missing_dataset_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    what = PUBLISHED[name]
    (problem,) = refusal(DataConfig(dataset=name, data_dir=tmp_path))
    assert problem.startswith(f"{what.title} cannot be read from {tmp_path} ({what.files[0]}")
    assert "add --download" in problem and "--dataset folder" in problem
    assert f"import {what.kind}; {what.kind}('{tmp_path}', download=True)" in problem
    assert ("split='test'" in problem) == (name == "svhn")
    size, _ = refusal(DataConfig(dataset=name, data_dir=tmp_path, image_size=64))
    assert "--image-size 64" in size and f"{what.size}x{what.size}: leave it out" in size


def test_where_the_files_go_must_be_said(tmp_path: Path) -> None:
    (unsaid,) = refusal(DataConfig(dataset="svhn"))
    assert "--data-dir" in unsaid and "--download" in unsaid
    (unsaid,) = refusal(DataConfig(dataset="svhn", download=True))
    assert "say where with --data-dir" in unsaid
    (nowhere,) = refusal(DataConfig(dataset="svhn", data_dir=tmp_path / "x"))
    assert "does not exist" in nowhere and "add --download" in nowhere
    assert not (tmp_path / "x").exists()
    (tmp_path / "file").touch()
    (problem,) = refusal(asked("svhn", tmp_path / "file"))
    assert "cannot be made" in problem


@pytest.mark.parametrize("size", [0, 64])
def test_nothing_is_fetched_for_a_run_that_cannot_start(size: int, tmp_path: Path) -> None:
    (problem,) = refusal(asked("cifar10", tmp_path / "data", image_size=size))
    assert f"--image-size {size}" in problem
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("digits", "needs no files"),
        ("synthetic", "needs no files"),
        ("folder", "images of your own"),
        ("imagenet32", "asks for an account"),
    ],
)
def test_download_of_what_cannot_be_downloaded(name: str, reason: str, tmp_path: Path) -> None:
    problems = refusal(asked(name, tmp_path))
    assert problems[0].startswith("--download has no meaning here") and reason in problems[0]
    assert len(problems) > 1  # with what else is wrong
    (problem, *_) = refusal(DataConfig(dataset=name, download=True))
    assert "--download has no meaning here" in problem


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    for name, what in PUBLISHED.items():
        for file in what.files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(b"\0\0\x08\x03\0")
        (problem,) = refusal(asked(name, tmp_path))
        assert "incomplete or damaged" in problem
        assert "remove them and add --download" in problem


@pytest.mark.parametrize("name", GREY)
def test_labels_that_do_not_fit_the_images_are_refused(name: str, tmp_path: Path) -> None:
    fake = mnist("", name)
    raw = tmp_path / PUBLISHED[name].kind / "raw"
    labels = "train-labels-idx1-ubyte"
    for file, body in fake.files.items():
        path = raw / file.removesuffix(".gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.decompress(body))
    config = DataConfig(dataset=name, data_dir=tmp_path)
    assert Prepared(prepare(config)).spec.train == 5
    (raw / labels).write_bytes(struct.pack(">II2B", 0x801, 2, 1, 2))
    (problem,) = refusal(config)
    assert "incomplete or damaged" in problem


def test_download_is_a_word_of_the_command_line(tmp_path: Path) -> None:
    line = f"--dataset stl10 --data-dir {tmp_path} --download"
    assert tyro.cli(DataConfig, args=line.split()) == asked("stl10", tmp_path)


# ---- ImageNet32


def batch(count: int, first: int = 1) -> dict[str, Any]:
    labels = [(first + 7 * row - 1) % 1000 + 1 for row in range(count)]
    return {"data": pixels(count, 3072), "labels": labels, "mean": np.zeros(3072)}


def python2(value: dict[str, Any]) -> bytes:
    """As Python 2 and an old numpy wrote it: protocol 2, all text and bytes are `str`."""
    data, labels = value["data"], value["labels"]
    numbers = b"".join(b"M" + struct.pack("<H", label) for label in labels)
    return (
        b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\n"
        b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K" + bytes([len(data)]) + b"M\x00\x0c\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + struct.pack("<I", data.size) + data.tobytes() + b"tb"
        b"U\x06labels](" + numbers + b"eu."
    )


def batches(root: Path, *, nested: bool = False) -> dict[str, dict[str, Any]]:
    """Small files of all the forms that are about: three protocols, and Python 2's own."""
    stored: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(imagenet32.FOLDERS):
        stored[name] = value = batch(2 + number, first=number + 1)
        path = root / imagenet32.FOLDERS[name] / name if nested else root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        form = (2, 3, 5, None)[number % 4]
        path.write_bytes(python2(value) if form is None else pickle.dumps(value, protocol=form))
    return stored


def of(root: Path, **fields: Any) -> DataConfig:
    return DataConfig(dataset="imagenet32", data_dir=root, **fields)


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "as unpacked"])
def test_imagenet32_in_its_batch_files(nested: bool, tmp_path: Path) -> None:
    stored = batches(tmp_path, nested=nested)
    got = Prepared(prepare(of(tmp_path)))
    train = [stored[name] for name in imagenet32.TRAIN]
    images = np.concatenate([value["data"] for value in train]).reshape(-1, 3, 32, 32)
    assert np.array_equal(got.train_images, images)
    labels = [label - 1 for value in train for label in value["labels"]]
    assert got.train_labels.tolist() == labels
    assert np.array_equal(got.test_images.reshape(-1, 3072), stored["val_data"]["data"])
    assert got.test_labels.tolist() == [label - 1 for label in stored["val_data"]["labels"]]
    assert got.spec.classes == 1000 and got.spec.shape == (3, 32, 32)
    assert got.mean == (0.485, 0.456, 0.406) and got.std == (0.229, 0.224, 0.225)
    assert got.augmentation == Augmentation(padding="zero", pad=4, flip=True)


def test_every_problem_of_imagenet32_at_once(tmp_path: Path) -> None:
    batches(tmp_path)
    for number in (3, 10):
        (tmp_path / f"train_data_batch_{number}").unlink()
    wrong = {
        "train_data_batch_1": {**batch(2), "data": pixels(2, 12288)},
        "train_data_batch_2": {**batch(2), "labels": [1]},
        "train_data_batch_4": {**batch(2), "labels": [0, 5]},
        "train_data_batch_5": {**batch(2), "data": np.zeros((2, 3072))},
        "train_data_batch_6": {"data": pixels(2, 3072)},
    }
    for name, value in wrong.items():
        (tmp_path / name).write_bytes(pickle.dumps(value))
    whole = (tmp_path / "train_data_batch_7").read_bytes()
    (tmp_path / "train_data_batch_7").write_bytes(whole[: len(whole) // 2])
    problems = refusal(of(tmp_path, image_size=64, download=True))
    expected = (
        "--download has no meaning here",
        "--image-size 64",
        "train_data_batch_3, train_data_batch_10 are not there, nor in Imagenet32_train/",
        "train_data_batch_1 is no batch of ImageNet32 (its data have the shape (2, 12288)",
        "train_data_batch_2 is no batch of ImageNet32 (it has (1,) int64 labels for 2 images",
        "train_data_batch_4 is no batch of ImageNet32 (its labels are not between 1 and 1000",
        "train_data_batch_5 is no batch of ImageNet32 (its data are no array of bytes",
        "train_data_batch_6 is no batch of ImageNet32 (it is no dict of data and labels",
        "train_data_batch_7 is no batch of ImageNet32 (not a pickle of numbers",
    )
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem
    for name in imagenet32.FOLDERS:
        (tmp_path / name).unlink(missing_ok=True)
    (problem,) = refusal(of(tmp_path))
    assert "val_data are not there" in problem and "https://image-net.org" in problem


class Evil:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("call", ["os", "builtins", "numpy"])
def test_a_pickle_that_would_run_something_is_refused(
    call: str, protocol: int, tmp_path: Path, cache: Path
) -> None:
    batches(tmp_path)
    mark = tmp_path / "mark"
    evil = {
        "os": Evil(os.mkdir, str(mark)),
        "builtins": Evil(eval, f"open({str(mark)!r}, 'w')"),
        "numpy": Evil(np.savetxt, str(mark), [0]),
    }[call]
    value = {**batch(2), "more": evil}
    (tmp_path / "val_data").write_bytes(pickle.dumps(value, protocol=protocol))
    (problem,) = refusal(of(tmp_path))
    assert problem.startswith("val_data is no batch of ImageNet32 (not a pickle of numbers: it nam")
    assert not mark.exists()
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_images_in_parts_are_stored_as_if_they_came_at_once(tmp_path: Path) -> None:
    images = pixels(700, 2, 4, 3)
    at_once = Contents(
        classes=("a", "b"),
        train_images=images,
        train_labels=np.arange(700) % 2,
        test_images=images[:5],
        test_labels=np.zeros(5, np.int64),
        augmentation=Augmentation(),
    )
    seen: list[int] = []

    def parts() -> Iterator[np.ndarray]:
        for start in range(0, 700, 300):
            assert sum(seen) == start  # the part before was taken before this one is read
            part = images[start : start + 300]
            yield part
            seen.append(len(part))

    fields = {name: getattr(at_once, name) for name in at_once.__dataclass_fields__}
    stream = Stream(shape=(700, 2, 4, 3), parts=parts)
    write(tmp_path / "at_once", "x", at_once)
    write(tmp_path / "parts", "x", Contents(**{**fields, "train_images": stream}))
    for file in files_in(tmp_path / "at_once"):
        stored = [(tmp_path / name / file).read_bytes() for name in ("at_once", "parts")]
        assert stored[0] == stored[1], file

    short = Stream(shape=(701, 2, 4, 3), parts=lambda: iter([images]))
    with pytest.raises(ValueError, match="700 images came where 701"):
        write(tmp_path / "short", "x", Contents(**{**fields, "train_images": short}))
    assert not (tmp_path / "short").exists()
