//! The numbers of the MODECFG attributes (RFC 7296 3.15.1, RFC 8598; private ones: PROTOCOL section 4).

/// INTERNAL_IP4_ADDRESS
pub const IP4_ADDRESS: u16 = 1;
/// INTERNAL_IP4_NETMASK
pub const IP4_NETMASK: u16 = 2;
/// INTERNAL_IP4_DNS
pub const IP4_DNS: u16 = 3;
/// INTERNAL_IP4_NBNS
pub const IP4_NBNS: u16 = 4;
/// APPLICATION_VERSION
pub const APPLICATION_VERSION: u16 = 7;
/// INTERNAL_IP6_ADDRESS
pub const IP6_ADDRESS: u16 = 8;
/// INTERNAL_IP6_DNS
pub const IP6_DNS: u16 = 10;
/// INTERNAL_IP4_SUBNET
pub const IP4_SUBNET: u16 = 13;
/// INTERNAL_IP6_SUBNET
pub const IP6_SUBNET: u16 = 15;
/// INTERNAL_DNS_DOMAIN
pub const DNS_DOMAIN: u16 = 25;
/// Banner
pub const BANNER: u16 = 28672;
/// The client may keep the password
pub const SAVE_PASSWORD: u16 = 28673;
/// Default domain
pub const DEFAULT_DOMAIN: u16 = 28674;
/// Split-DNS domains, separated by commas
pub const SPLIT_DNS: u16 = 28675;
/// Networks that go into the tunnel, n x 14 octets
pub const SPLIT_INCLUDE: u16 = 28676;
/// UDP port of ESP
pub const NAT_PORT: u16 = 28677;
/// Networks that stay outside, n x 14 octets
pub const SPLIT_EXCLUDE: u16 = 28678;
/// Key exchange in rekeys is wanted
pub const PFS: u16 = 28679;
/// Backup servers, separated by commas
pub const BACKUP_SERVERS: u16 = 28681;
/// Host name for dynamic DNS
pub const DDNS_HOST: u16 = 28682;
