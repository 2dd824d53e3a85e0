//! Signals from the machine: which source address would reach the gateway now, and sleep.
