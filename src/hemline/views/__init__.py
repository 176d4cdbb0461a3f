"""Everything that draws: contact sheets, pages of hits, manifests, detections, reports."""
