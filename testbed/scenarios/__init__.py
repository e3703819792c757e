"""What happens in a lab, told in steps: one module a scenario, and the machinery that runs them."""
