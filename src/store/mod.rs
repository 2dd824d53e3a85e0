//! Where a session is kept, and what the user wants.
