# What decoding into clouds or surfaces needs to know besides the model.


def masked_meshes(wildcards):
    """Input function: the shards with the surfaces that decoded ones are compared with, where cells have them."""
    dataset = dataset_config(wildcards)
    segmented = dataset["start_from"] == "raw" and dataset["kind"] == "polymorphic"
    return shards("mask")(wildcards) if segmented else []


def side_um(wildcards):
    """Params function: the side of the dataset's cubes, where it has cubes."""
    return dataset_config(wildcards)["sample"].get("cube", {}).get("side_um")


def packing(wildcards):
    """Params function: how clouds and cubes of spheres were sampled, to draw them anew; None of other cells."""
    dataset, keys = dataset_config(wildcards), ("points", "cube")
    drawn = dataset["kind"] == "packing" and dataset["sample"].get("mode") != "reference"
    return {key: dataset["sample"][key] for key in keys} if drawn else None


DECODING = dict(embed_config=CONFIG["embed"], side_um=side_um, packing=packing, seed=CONFIG["seed"])
