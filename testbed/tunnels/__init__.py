"""Tunnels in the kernel behind one interface: devices that encapsulate what is routed into them.

`endpoints` has the words, `table` shares tunnels among those who use them, `driver` chooses how the kernel makes them:
`netdev` by its own ipip devices, `ebpf` by programs of ours (ipip.bpf.c). docs/tunnels.md tells how both work.
"""
