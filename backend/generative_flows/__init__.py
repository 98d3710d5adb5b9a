"""The parts of GFlowNets: how events are built, the policies that build them, and the exact law."""
