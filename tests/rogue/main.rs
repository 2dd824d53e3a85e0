//! Gateways that are not what they say, in virtual time: whatever they answer, our initiator believes nothing before its time, says
//! nothing about its user before the gateway has proved itself, and ends within its limits. The gateway's half is written here, from
//! codec and keys; it shares nothing with `ikeep::gateway`.

mod auth;
mod gateway;
mod init;
mod intermediate;
mod login;
