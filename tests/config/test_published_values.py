"""Numbers that others printed: rows, and what is wrong with the file."""

import pytest
import yaml
from paths import ROOT

from morphobench import config as configuration
from morphobench.config import published_values, schema
from morphobench.errors import InputError


def test_every_value_has_a_source_and_says_why_it_may_differ():
    config = configuration.resolve(schema.read_yaml(ROOT / "config/config.yaml"), ROOT)
    rows = published_values.of_dataset(config, "adrenal", comparable=True)
    assert {row["metric"]: row["value"] for row in rows}["classification_shape_auroc"] == 0.828
    assert all(row["source"] and row["differs"] for row in config["published_values"])
    assert not published_values.of_dataset(config, "pcna", comparable=True)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"dataset": "no_such"}, "no_such"), ({"values": {"accuracy": {"a": "high"}}}, "accuracy")],
)
def test_an_unknown_data_set_or_a_value_that_is_no_number_is_named(tmp_path, change, named):
    content = yaml.safe_load((ROOT / published_values.FILE).read_text())
    content["entries"][0] |= change
    (tmp_path / "config/schemas").mkdir(parents=True)
    (tmp_path / published_values.FILE).write_text(yaml.safe_dump(content))
    (tmp_path / "config/schemas/published_values.schema.yaml").write_text(
        (ROOT / "config/schemas/published_values.schema.yaml").read_text()
    )
    with pytest.raises(InputError, match=named):
        published_values.read(tmp_path, dict.fromkeys(["adrenal", "pcna", "npm1", "npm1_perturb"]))
