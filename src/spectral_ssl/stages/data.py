"""Stage `data`: ingest the tier's data set."""

from __future__ import annotations

from spectral_ssl.data.sources import ingest
from spectral_ssl.stages import Context


def run(context: Context) -> int:
    """Write images, labels and meta.json under results/<tier>/data/<dataset>/."""
    data = context.tier.data
    meta = ingest(
        data.name,
        context.layout.data(data.slug),
        path=data.path,
        image_size=data.image_size,
        train_limit=data.train_limit,
        test_limit=data.test_limit,
    )
    if not context.quiet:
        print(f"{data.slug}: {meta['counts']} in {context.layout.data(data.slug)}")
    return 0
