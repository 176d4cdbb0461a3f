"""Losses, as `hemline.losses`; `hemline.learn.losses` has one file for each.

It needs ``pip install 'hemline[learn]'``.
"""

from hemline.learn.losses import *  # noqa: F403
from hemline.learn.losses import __all__ as __all__
