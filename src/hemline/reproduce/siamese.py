"""The Siamese project on Consumer-to-Shop (2018): its one table, top-50 in two galleries."""

from __future__ import annotations

from collections.abc import Mapping

from hemline.reproduce.experiment import Experiment, Row

PAPER = "Siamese project, 2018"
SIAMESE = Row("Siamese", "siamese", stages={"Siamese": 1.0})

EXPERIMENTS: Mapping[str, Experiment] = {
    "siamese-table": Experiment(
        "Siamese project, its table: top-50 among 1,000 and 10,000 pictures",
        PAPER,
        "consumer2shop",
        ("siamese-val-1k", "siamese-val-10k"),
        (
            Row(
                "baseline",
                instead="give VGG-19 up to its first fully connected layer with ImageNet's weights "
                "as a bundle: --runs baseline=BUNDLE",
                published={"recall@50 1k": 0.40, "recall@50 10k": 0.111},
            ),
            Row(
                "siamese",
                SIAMESE.recipe,
                stages=SIAMESE.stages,
                published={"recall@50 1k": 0.553, "recall@50 10k": 0.222},
                over=("baseline", None),
            ),
        ),
        stand_ins=("siamese-1k", "siamese-10k"),
        measures=("recall@50", "recall@5", "recall@1"),
        note="The report measures on validation and doesn't say how it drew the galleries. Photos "
        "that are asked for choose no epoch here. Where test has fewer than 1,000 shop images, as "
        "drawn data has, both galleries are all of them.",
    ),
}
