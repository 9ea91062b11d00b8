"""Xilinx FPGAs: XRT bindings shaped like pyxrt, and the probe on top of them."""
