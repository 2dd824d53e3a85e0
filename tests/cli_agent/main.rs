//! The commands that talk to the agent, against an agent that says what the test wants: questions and answers, terminals and
//! pipes, exit codes.

mod connect;
mod live;
mod others;
mod programs;
mod terminal;
mod typing;
mod world;
