"""Stage `data`: ingest the tier's data sets."""

from __future__ import annotations

from spectral_ssl.data.sources import ingest
from spectral_ssl.errors import unknown
from spectral_ssl.stages import Context


def run(context: Context, dataset: str | None = None) -> int:
    """Write images, labels, factors and meta.json under results/<tier>/data/<dataset>/, of one data set or all."""
    known = context.tier.datasets
    if dataset is not None and dataset not in known:
        raise unknown("data set of this tier", dataset, known)
    for slug in [dataset] if dataset else known:
        data, folder = known[slug], context.layout.data(slug)
        meta = ingest(
            data.name,
            folder,
            path=data.path,
            download=data.download,
            image_size=data.image_size,
            train_limit=data.train_limit,
            test_limit=data.test_limit,
        )
        if not context.quiet:
            print(f"{slug}: {meta['counts']} in {folder}")
    return 0
