"""Volume bins: edges, counts, mean embeddings."""

import numpy as np

from morphobench.analyse.volume_bins import assign_bins, bin_edges, bin_means


def test_volumes_below_the_first_bin_stay_there_and_edges_belong_below():
    edges = np.array([247.407, 390.752, 533.383])
    volumes = np.array([1.0, 247.407, 390.752, 390.753, 533.383, 9999.0, np.nan])
    assert assign_bins(volumes, edges).tolist() == [0, 0, 0, 1, 1, 1, -1]


def test_bins_between_quantiles_have_equal_widths():
    volumes = np.append(np.linspace(0, 100, 1001), np.nan)
    np.testing.assert_allclose(bin_edges(volumes, n_bins=4, quantiles=(0.1, 0.9)), [10, 30, 50, 70, 90])
    assert bin_edges(np.array([np.nan])).size == 0
    assert bin_edges(volumes, edges_um3=[1, 2]).tolist() == [1, 2]


def test_mean_embeddings_of_bins_leave_out_empty_bins():
    bins, embeddings = bin_means(np.array([[1.0], [3.0], [9.0]]), np.array([0, 0, -1]), np.array([0.0, 1, 2]))
    assert bins[["bin", "n"]].values.tolist() == [[0, 2], [1, 0]]
    assert embeddings.values.tolist() == [[0, 2.0]]
