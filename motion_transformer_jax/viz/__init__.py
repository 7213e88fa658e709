"""Drawing: keypoints, masks, flow and contact sheets."""
