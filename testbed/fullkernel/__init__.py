"""Running programs of this checkout on a distribution's kernel, inside a virtual machine over the same file system."""
