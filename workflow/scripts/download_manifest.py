from morphobench import log
from morphobench.download import index

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        index.run(
            snakemake.output[0],
            dataset=snakemake.params.dataset,
            # Patience and connections change no result: they are no parameters.
            download_config=snakemake.config["download"] | snakemake.params.place,
        )
