"""Folders that somebody spoiled: what is wrong is named, and nothing of them is unpickled or run."""

import json

import numpy as np
import pytest

from gradaudit.errors import ReplayError
from gradaudit.replay import reading
from gradaudit.replay.encoding import digest_of, seal
from tests.replay.conftest import of

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(project):
    return project / of(project, "wrong")


def edit(folder, change, *, sealed=True):
    """`evaluation.json` after `change`; with the checksum that belongs to it, as a patient forger would have it."""
    path = folder / "evaluation.json"
    document = json.loads(path.read_text())
    change(document)
    if sealed:
        document["sha256"] = seal({name: value for name, value in document.items() if name != "sha256"})
    path.write_text(json.dumps(document))


def refused(folder):
    with pytest.raises(ReplayError) as caught:
        reading.read(folder)
    return str(caught.value)


def test_what_was_saved_is_read_as_it_was(folder):
    saved = reading.read(folder)
    assert saved.key.subject == "wrong"
    assert saved.inputs.logits.shape == (4, 5)
    assert [finding.code for finding in saved.findings] == ["BUG455"]
    assert {each.name for each in saved.numbers} == {"loss", "gradient"}
    assert dict(saved.versions)["torch"]
    assert reading.read(folder / "evaluation.json").key == saved.key


def test_an_edited_document_is_no_evidence(folder):
    edit(folder, lambda document: document["key"].update(dtype="float64"), sealed=False)
    assert "it was changed after it was saved (its checksum differs)" in refused(folder)


def test_a_reformatted_document_is_the_same_evidence(folder):
    edit(folder, dict.keys, sealed=False)
    assert reading.read(folder).key.subject == "wrong"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("key"), "key: expected an object, not null"),
        (lambda d: d["key"].pop("dtype"), "key.dtype is missing"),
        (lambda d: d["key"].update(scale="much"), "key.scale: expected a number, not 'much'"),
        (lambda d: d["inputs"]["arrays"].pop("logits"), "inputs.arrays.logits is missing"),
        (lambda d: d["inputs"]["arrays"].update(more={}), "inputs.arrays.more: there is no such array"),
        (lambda d: d["inputs"]["arrays"]["logits"].update(dtype="object"), "inputs.arrays.logits.dtype: expected"),
        (lambda d: d["inputs"]["arrays"]["logits"].update(shape=[20]), "holds float32 [4, 5]; evaluation.json says"),
        (lambda d: d["case"].update(subjects=[]), "case: expected one subject or one backend, not 0"),
        (lambda d: d.update(schema_version=99), "it has schema version 99"),
        (lambda d: d.update(tool={"name": "other"}), "it is no saved evaluation"),
        (lambda d: d.update(findings={}), "findings"),
    ],
)
def test_a_document_that_does_not_fit_is_named_by_its_path(folder, change, message):
    edit(folder, change)
    assert message in refused(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not JSON"),
        ("[1]", "it is no saved evaluation"),
        ('{"a": NaN}', "it is not valid JSON: NaN is no number of JSON"),
        ("[" * 100_000, "it is nested too deeply"),
        (b"\xff\xfe\x00", "it is not JSON"),
    ],
)
def test_what_is_no_document_is_refused(folder, text, message):
    (folder / "evaluation.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message in refused(folder)


def test_a_missing_array_is_named(folder):
    (folder / "targets.npy").unlink()
    assert refused(folder) == f"{folder / 'targets.npy'} is missing; a saved evaluation is its whole folder"


def test_a_pickled_array_is_never_unpickled(folder, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "went-off"), "w"))

    np.save(folder / "logits.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    # Whoever forges the array forges its checksum too.
    digest = digest_of(folder / "logits.npy")
    edit(folder, lambda document: document["inputs"]["arrays"]["logits"].update(sha256=digest))
    assert "pickled objects never are" in refused(folder)
    assert not (tmp_path / "went-off").exists()


def test_an_array_that_promises_more_than_it_holds_is_refused(folder):
    path = folder / "logits.npy"
    whole = path.read_bytes()
    for header in (b"(9, 9)", b"(4, 5 "):
        path.write_bytes(whole.replace(b"(4, 5)", header, 1))
        assert "holds no array that is read here" in refused(folder)
    path.write_bytes(whole.replace(b"(4, 5), }" + b" " * 12, b"(4, 5000000000000), }"))
    assert "holds no array that is read here" in refused(folder)


def test_an_array_that_was_changed_is_no_evidence(folder):
    path = folder / "logits.npy"
    np.save(path, np.load(path) + np.float32(1))
    assert "logits.npy was changed after it was saved" in refused(folder)


def test_a_folder_of_folders_stands_for_all_of_them(folder):
    found = reading.folders(folder.parent)
    assert len(found) == 3
    assert folder in found
    assert reading.folders(folder) == reading.folders(folder / "evaluation.json") == [folder]
    with pytest.raises(ReplayError, match=r"holds no evaluation\.json"):
        reading.folders(folder.parent.parent)
    assert "there is no folder" in refused(folder / "nowhere")
