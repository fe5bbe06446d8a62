"""Record of a training."""

import platform

from morphobench.train.record import processor_name


def test_the_processor_is_named_as_linux_lists_it(tmp_path):
    listed = tmp_path / "cpuinfo"
    listed.write_text("processor\t: 0\nmodel name\t: Some CPU\n\nprocessor\t: 1\nmodel name\t: Some CPU\n")
    assert processor_name(listed) == "Some CPU, 2 cores"
    assert processor_name(tmp_path / "none") == platform.machine()
