"""What a lab is made of: the private world, namespaces, Mininet's classes over netlink, filters, kernel probes."""
