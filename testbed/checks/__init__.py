"""What must hold in a lab, judged from packets and kernel state only."""
