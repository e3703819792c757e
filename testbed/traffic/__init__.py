"""Real traffic for a lab: sequenced datagrams, a TCP connection with checked content, and single echo requests."""
