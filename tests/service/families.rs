//! From a network that carries only IPv4 into one that carries only IPv6, and back.

use crate::stage::{HERE4, HERE6, Stage};
use anyhow::{Result, ensure};
use std::net::IpAddr;

#[tokio::test]
async fn a_session_follows_from_ipv4_to_ipv6_and_back_by_token() -> Result<()> {
    if std::net::UdpSocket::bind((HERE6, 0)).is_err() {
        println!("left out: this machine has no IPv6");
        return Ok(());
    }
    let stage = Stage::set_for_both_families().await?;
    stage.log_in().await?;
    let gateway = |status: &serde_json::Value| {
        status["ike"]["remote"].as_str().and_then(|at| at.parse::<std::net::SocketAddr>().ok())
    };
    let there = |family: IpAddr| {
        move |status: &serde_json::Value| {
            status["state"] == "connected"
                && gateway(status).is_some_and(|at| at.is_ipv4() == family.is_ipv4())
        }
    };
    let first = stage.until("connected over IPv4", there(HERE4)).await?;
    stage.networks_carry(&[HERE6]);
    let second = stage.until("connected over IPv6", there(HERE6)).await?;
    ensure!(second["auth"] == "psk", "{second}");
    ensure!(first["address4"] == second["address4"], "{first}\n{second}");
    // Another address of the family that is not in use is no reason to move.
    let spi = second["ike"]["spi_i"].clone();
    stage.networks_carry(&[HERE6, HERE4]);
    ensure!(stage.status().await?["ike"]["spi_i"] == spi);
    stage.networks_carry(&[HERE4]);
    let third = stage.until("connected over IPv4 again", there(HERE4)).await?;
    ensure!(third["reconnects"] == 2, "{third}");
    ensure!(!stage.events().contains("auth-required"), "{}", stage.events());
    Ok(())
}
