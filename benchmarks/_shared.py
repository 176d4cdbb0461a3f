"""Where benchmarks find optional data and weights: the folder HEMLINE_SHARED.

Default: ``shared`` beside the project's folder. The package itself looks for nothing there.
"""

from __future__ import annotations

import os
from pathlib import Path

SHARED = Path(os.environ.get("HEMLINE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
#: An ImageNet MobileNetV2.
IMAGENET = SHARED / "weights" / "mobilenetv2_100_same.tf2_in1k.safetensors"
LITE2 = SHARED / "weights" / "tf_efficientnet_lite2.in1k.safetensors"
