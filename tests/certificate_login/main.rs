//! Logins with EAP-AnyConnect and the user's certificate. Certificates, PKCS#7 and signatures are OpenSSL's wherever one side of
//! ours is tested, so that nothing is proved by its own mirror.

#[path = "../gateway_peer/mod.rs"]
mod gateway_peer;
mod openssl;
#[path = "../person/mod.rs"]
mod person;

mod card;
mod client;
mod gateway;
mod program;
mod token;
