"""CUDA devices: what NVML says of them, and what only work shows."""
