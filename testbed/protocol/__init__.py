"""Mobile IPv4 on the wire: messages as frozen values, bytes in and bytes out, no input or output of its own.

One module a concern: ``discovery`` (ICMP 9 and 10), ``registration``, ``revocation`` and ``tunnel_data`` (UDP 434),
``extensions`` and ``extension_table`` (what may follow a message; each extension has a module of its own),
``authentication``, ``identification`` and ``nonces`` (replay protection), ``reply_codes``, and ``packets`` (Ethernet,
ARP, IPv4 and UDP below all of them). What an agent does with a message is decided in ``testbed.agents``.
"""
