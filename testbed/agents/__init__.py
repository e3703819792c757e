"""Mobile IP agents: pure state machines (home, foreign, mobile), and the shell that gives them sockets and a kernel."""
