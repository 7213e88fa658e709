"""Drawing: keypoints, masks, flow, attention and contact sheets."""
