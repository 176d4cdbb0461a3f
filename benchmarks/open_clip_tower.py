"""A small open_clip model whose image tower has the weights of a timm network, as a folder.

    python benchmarks/open_clip_tower.py tf_efficientnet_lite2 FILE.safetensors -o FOLDER
    hemline bundle open_clip:local-dir:FOLDER -o BUNDLE
    python benchmarks/adapt.py BUNDLE

No weights that open_clip trained can be had without its hub. This shows `hemline adapt` on a bundle
of that library with real features; the text tower has random weights, which nothing here reads.
The folder is as ``open_clip.push_to_hf_hub`` writes it. Needs ``hemline[learn,clip]``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import open_clip
import timm
import torch
from safetensors.torch import load_file, save_file

TEXT = {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("network", help="a timm network's name")
    parser.add_argument("weights", type=Path, help="its weights, .safetensors")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    weights = load_file(args.weights)
    images = timm.create_model(args.network, pretrained=False).pretrained_cfg
    size = images["input_size"][1]
    vision = {
        "timm_model_name": args.network,
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "none",
        "image_size": size,
    }
    torch.manual_seed(0)
    tower = open_clip.CLIP(embed_dim=8, vision_cfg=vision, text_cfg=TEXT).visual.eval()
    width = tower(torch.zeros(1, 3, size, size)).shape[1]
    model_cfg = {"embed_dim": width, "vision_cfg": vision, "text_cfg": TEXT}
    model = open_clip.CLIP(**model_cfg)
    missing = model.visual.trunk.load_state_dict(weights, strict=False).missing_keys
    if missing := [name for name in missing if not name.endswith("num_batches_tracked")]:
        raise SystemExit(f"{args.weights} lacks {', '.join(missing[:3])} of {args.network}")
    args.output.mkdir(parents=True)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, args.output / "open_clip_model.safetensors")
    preprocess = {
        "mean": list(images["mean"]),
        "std": list(images["std"]),
        "interpolation": images["interpolation"],
        "resize_mode": "shortest",
    }
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
    (args.output / "open_clip_config.json").write_text(json.dumps(config, indent=2), "utf-8")
    print(f"written: {args.output}, {width} numbers an image")


if __name__ == "__main__":
    main()
