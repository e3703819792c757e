"""What was seen: captures, traces of packets, snapshots of kernel state. Nothing here believes what an agent says."""
