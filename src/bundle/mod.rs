//! The diagnostic bundle.
