"""Networks to run scenarios on: plans of addresses as plain data, and the Mininet topologies made from them."""
