"""The live lab, `nnlab view`: runs as they grow, and a playground, in a browser on this machine."""
